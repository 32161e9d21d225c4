//! What a kernel can be without: files of cgroups by the start of their names, and what brings them.
//!
//! The first word is that start; the first line that fits counts.
#![forbid(unsafe_code)]

table! {
    /// Files of a cgroup that a kernel has or has not.
    Feature {
        Swap = (full) "memory.swap CONFIG_SWAP, before Linux 5.8 swapaccount=1",
        MemSwap = (full) "memory.memsw CONFIG_SWAP, before Linux 5.8 swapaccount=1",
        Kmem = (full) "memory.kmem before Linux 6.8 only",
        Memory = (full) "memory CONFIG_MEMCG and no cgroup_disable=memory; on a Raspberry Pi cgroup_enable=memory",
        Cpuset = (full) "cpuset CONFIG_CPUSETS",
        CpuRealtime = (full) "cpu.rt CONFIG_RT_GROUP_SCHED",
        CpuBurst = (full) "cpu.max.burst Linux 5.14 and CONFIG_CFS_BANDWIDTH",
        CpuBurstV1 = (full) "cpu.cfs_burst Linux 5.14 and CONFIG_CFS_BANDWIDTH",
        CpuMax = (full) "cpu.max CONFIG_CFS_BANDWIDTH",
        CpuQuota = (full) "cpu.cfs CONFIG_CFS_BANDWIDTH",
        CpuIdle = (full) "cpu.idle Linux 5.15",
        Cpu = (full) "cpu CONFIG_CGROUP_SCHED",
        Pids = (full) "pids CONFIG_CGROUP_PIDS",
        IoWeight = (full) "io.weight CONFIG_BFQ_GROUP_IOSCHED or CONFIG_BLK_CGROUP_IOCOST",
        IoMax = (full) "io.max CONFIG_BLK_DEV_THROTTLING",
        Io = (full) "io CONFIG_BLK_CGROUP",
        BlkioThrottle = (full) "blkio.throttle CONFIG_BLK_DEV_THROTTLING",
        BlkioWeight = (full) "blkio CONFIG_BLK_CGROUP, for weights CONFIG_BFQ_GROUP_IOSCHED",
        Hugetlb = (full) "hugetlb CONFIG_CGROUP_HUGETLB and pages of this size",
        Rdma = (full) "rdma CONFIG_CGROUP_RDMA",
        NetCls = (full) "net_cls CONFIG_CGROUP_NET_CLASSID",
        NetPrio = (full) "net_prio CONFIG_CGROUP_NET_PRIO",
        Freezer = "freezer CONFIG_CGROUP_FREEZER",
        CgroupFreeze = "cgroup.freeze Linux 5.2",
        Other = " a kernel that knows it",
    }
}
