//! What usually lies behind an error; `say` knows which goes with which.
#![forbid(unsafe_code)]

table! {
    /// A few words behind a sentence.
    Hint {
        Namespaces = "the limit on the number or depth of namespaces is reached, see /proc/sys/user",
        NamespaceKinds = "the kernel was built without one of the namespaces",
        Processes = "the limit on the number of processes is reached (RLIMIT_NPROC, pids.max)",
        Root = "is this run as root?",
        StateRoot = "name a writable directory with --root",
        StateFull = "the file system of the state directory is full",
        Filesystem = "the kernel does not have this file system",
        MountOption = "an option or flag that the file system or the kernel does not know; the kernel log may say which",
        LockedFlag = "a flag that a more privileged mount namespace has locked cannot be taken away",
        Source = "the source is looked up on the host",
        IdMap = "the file system cannot be id-mapped, or not by this user, or the source is id-mapped itself",
        ReadOnlyRoot = "a read-only root must have its mount points, or a tmpfs above them",
        Circles = "the root filesystem has links that lead in circles, or somebody kept changing it",
        SecurityModule = "is the security module on (/sys/kernel/security/lsm), and does it know the label?",
        DeviceProgram = "on cgroup v2 this takes CONFIG_CGROUP_BPF and CAP_BPF, on v1 a cgroup above that allows as much",
        OpenFiles = "the limit on open files is reached",
        Call = "the kernel, or a seccomp filter around this program, lacks the call",
    }
}
