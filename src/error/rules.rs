//! Every rule that a document, a command line or a host can break, with the sentence that says what is allowed.
//!
//! Grow the section of your room.
#![forbid(unsafe_code)]

table! {
    /// A broken rule; the text says what is allowed.
    Rule {
        // anywhere
        Nul = "a string for the kernel must not contain a NUL byte",
        Never = "this cannot happen; please report it",
        // config/
        // plan/
        // cli/
        // state/
        // cgroup/
        // rootfs/
        // run/
    }
}
