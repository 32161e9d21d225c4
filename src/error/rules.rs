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
        RootMissing = "a container needs a root filesystem; add root.path to config.json",
        ProcessMissing = "a container needs a process; add process to config.json",
        LaterUserNamespace = "user namespaces are not made by this version; remove this entry",
        LaterSeccomp = "seccomp filters are not applied by this version; remove linux.seccomp",
        LaterHooks = "hooks are not run by this version; remove them",
        LaterLabel = "AppArmor and SELinux labels are not applied by this version; remove them",
        LaterNetDevices = "network devices are not moved by this version; remove linux.netDevices",
        LaterIntelRdt = "resctrl groups are not made by this version; remove linux.intelRdt",
        NodeList = "must be a list of NUMA nodes below 1024, like 0-3,7",
        // cli/
        // state/
        StateRoot = "must be a directory of the calling user that nobody else can write to, not /, and no symbolic link",
        ContainerId = "invalid container ID format: allowed are letters, digits and _ + - . (at most 255, not . or ..)",
        Exists = "container with given ID already exists",
        NoContainer = "container does not exist",
        NotRunning = "container not running",
        HalfMade = "container does not exist: its creation was interrupted, `delete` removes what is left",
        Corrupt = "the state file is damaged; `delete --force` removes the container",
        NewerState = "the state file was written by a newer version",
        Held = "another process works on it",
        // cgroup/
        CgroupPathUp = "a cgroup path must not contain \"..\"",
        CgroupPathRoot = "a cgroup path must name a cgroup below the mount point",
        CgroupPathLong = "a cgroup path has at most 4095 bytes",
        SystemdPath = "a path of the form slice:prefix:name needs the systemd cgroup manager; cgroupfs takes /a/path",
        LaterSystemdCgroup = "this version does not have the systemd cgroup manager yet; use --cgroup-manager=cgroupfs",
        LaterLimits = "this version does not apply this limit yet; remove it",
        DeviceSubset = "cgroup v1 cannot except a part of a range of devices; name the devices one by one",
        DevicesNeedCgroups = "device rules need a device controller, which this host or --cgroup-manager=disabled does not give",
        CgroupBusy = "the cgroup already has processes in it",
        CgroupFrozen = "the cgroup is frozen",
        CgroupStranger = "the cgroup has processes that are not known to be the container's",
        // rootfs/
        // run/
        StartStopped = "cannot start a container that has stopped",
        StartRunning = "cannot start an already running container",
        NotInPath = "executable file not found in $PATH",
        NamespaceType = "the file is not a namespace of this type",
        PreserveFds = "--preserve-fds counts descriptors from 3 on, and one of them is not open",
        WorkingDirectory = "the working directory must be inside the root filesystem of the container",
    }
}
