//! Coverage, counted: which properties of config.json and which flags the cases of a run have really used.
//!
//! ```text
//!  tests/coverage/paths       the properties of the specification for Linux, and the words that some can have
//!  tests/coverage/flags       the commands and flags of runc and crun
//!  tests/coverage/exceptions  what cannot be used here, and why
//!
//!  a case:  record   the containers that were made, and the command lines that were taken
//!  a run:   sum      adds up what the cases that passed have recorded, and says what is missing
//! ```

mod flags;
pub mod record;
pub mod sum;
mod walk;

/// The lines of a data file without its comments.
pub fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The properties, as [`walk::paths`] spells them.
fn paths() -> impl Iterator<Item = &'static str> {
    lines(include_str!("../../coverage/paths"))
}
