//! Objects with a fixed name, for faults that happen where no plan exists.
#![forbid(unsafe_code)]

table! {
    /// A fixed name of an object.
    Place {
        PidFile = "--pid-file",
        Bundle = "bundle directory",
        Proc = "/proc",
        OwnBinary = "/proc/self/exe",
        ConfigFile = (full) "config.json",
        StartSocket = "start.sock",
        Systemd = "systemd",
        CgroupRoot = "/sys/fs/cgroup",
        CgroupOfContainer = "(below /sys/fs/cgroup)",
    }
}
