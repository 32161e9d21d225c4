//! Every action that can fail, in the order of a run, with the words that name it: "cannot <text> <object>".
//!
//! Grow the section of your room; a step names what was being done, never that it failed.
#![forbid(unsafe_code)]

table! {
    /// An action of the runtime.
    Step {
        // The runtime itself.
        SealRuntime = "seal a copy of the runtime binary",
        ReadArguments = "read the command line",
        // config/
        ReadConfig = "read config.json",
        // plan/
        MakePlan = "plan the container",
        // host.rs
        AskHost = "examine the host",
        // state/
        OpenStateRoot = "open the state directory",
        // cgroup/
        FindCgroups = "find the cgroup hierarchies",
        // run/
        Clone = "create the container process",
        Talk = "talk to the container process",
        // fs/, rootfs/
        OpenProc = "open a private procfs",
        OpenRootfs = "open the root filesystem",
        // process attributes
        // start
        Exec = "execute",
    }
}
