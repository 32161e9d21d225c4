//! Every action that can fail, in the order of a run, with the words that name it: "cannot <text> <object>".
//!
//! Grow the section of your room; a step names what was being done, never that it failed.
#![forbid(unsafe_code)]

table! {
    /// An action of the runtime.
    Step {
        // The runtime itself.
        SealRuntime = "seal a copy of the runtime binary",
        OpenNullDevice = "open the null device for a closed standard stream",
        CheckFds = "keep descriptor",
        Protect = "protect the runtime process",
        ReadArguments = "read the command line",
        // cli/
        Print = "write to standard output",
        WriteSpec = "write",
        // config/
        OpenBundle = "open the bundle",
        ReadConfig = "read config.json",
        ReadProcess = "read the process document",
        ReadResources = "read the resources document",
        // plan/
        MakePlan = "plan the container",
        // host.rs
        AskHost = "examine the host",
        // state/
        OpenStateRoot = "open the state directory",
        MakeStateRoot = "make the state directory",
        ReserveId = "reserve the name of the container",
        FindContainer = "find the container",
        LockContainer = "lock the container",
        ReadState = "read the state of the container",
        WriteState = "write the state of the container",
        RemoveState = "remove the state of the container",
        FindInit = "find the process of the container",
        Signal = "signal the container",
        AwaitEnd = "wait for the end of the container",
        // cgroup/
        FindCgroups = "find the cgroup hierarchies",
        PlanCgroup = "plan the cgroup of the container",
        PlanDevices = "plan the device rules of the container",
        MakeCgroup = "make the cgroup",
        SetCpuset = "give CPUs and memory nodes to the cgroup",
        SetDevices = "apply the device rules to the cgroup",
        JoinCgroup = "enter the cgroup",
        KillCgroup = "kill the processes of the cgroup",
        RemoveCgroup = "remove the cgroup",
        // run/
        WritePidFile = "write the pid file",
        Supervise = "supervise the container",
        Clone = "create the container process",
        Talk = "talk to the container process",
        // fs/, rootfs/
        OpenProc = "open a private procfs",
        OpenRootfs = "open the root filesystem",
        SetPropagation = "set the propagation of \"/\"",
        MountRootfs = "mount the root filesystem onto itself",
        MakeMountPoint = "make the mount point",
        OpenSource = "open the source of",
        Mount = "mount",
        SetMountFlags = "set the flags of",
        CheckMount = "check",
        CopyUp = "copy the old content of",
        MakeDevice = "make",
        MakeLink = "make",
        MakeDirectory = "make",
        ProtectPath = "protect",
        OpenNull = "open a null device to mask paths with",
        Pivot = "make the root filesystem the container's \"/\"",
        ConnectConsole = "connect to the console socket",
        OpenTerminal = "open a terminal in /dev/pts of the container",
        SendTerminal = "send the terminal to the console socket",
        AttachTerminal = "make the terminal the container's own",
        RelayTerminal = "relay the terminal of the container",
        BindConsole = "bind the terminal over /dev/console",
        CloseFds = "close inherited file descriptors",
        // process attributes
        SetSignals = "reset the signals",
        SetSession = "start a session",
        JoinKeyring = "join the session keyring",
        OpenNamespace = "open the namespace",
        JoinNamespace = "join the namespace",
        MakeNamespaces = "make the namespaces",
        SetTimeOffsets = "set the offsets of the time namespace",
        RaiseLoopback = "bring up the loopback interface",
        SetHostname = "set the host name",
        SetDomainname = "set the domain name",
        SetSysctl = "set the sysctl",
        SetOomScore = "set the OOM score adjustment",
        SetScheduler = "set the scheduling policy",
        SetIoPriority = "set the I/O priority",
        SetPersonality = "set the personality",
        SetMemoryPolicy = "set the memory policy",
        SetWorkingDirectory = "change to the working directory",
        SetRlimit = "set the rlimit",
        SetBoundingSet = "drop from the bounding set capability",
        SetGroups = "set the supplementary groups",
        SetIds = "set the user and group",
        SetCapabilities = "set the capabilities",
        SetAmbientSet = "raise the ambient capability",
        SetNoNewPrivileges = "set no_new_privs",
        // start
        PrepareStart = "prepare the start socket",
        AwaitStart = "wait for start",
        Start = "start the container",
        Exec = "execute",
    }
}
