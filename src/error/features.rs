//! What a kernel can be without: files of cgroups by the start of their names, and what brings them.
//!
//! The first word is that start; the first line that fits counts.
#![forbid(unsafe_code)]

table! {
    /// Files of a cgroup that a kernel has or has not.
    Feature {
        Swap = "memory.swap CONFIG_SWAP, before Linux 5.8 swapaccount=1",
        MemSwap = "memory.memsw CONFIG_SWAP, before Linux 5.8 swapaccount=1",
        Kmem = "memory.kmem before Linux 6.8 only",
        Memory = "memory CONFIG_MEMCG and no cgroup_disable=memory; on a Raspberry Pi cgroup_enable=memory",
        Cpuset = "cpuset CONFIG_CPUSETS",
        CpuRealtime = "cpu.rt CONFIG_RT_GROUP_SCHED",
        CpuBurst = "cpu.max.burst Linux 5.14 and CONFIG_CFS_BANDWIDTH",
        CpuBurstV1 = "cpu.cfs_burst Linux 5.14 and CONFIG_CFS_BANDWIDTH",
        CpuMax = "cpu.max CONFIG_CFS_BANDWIDTH",
        CpuQuota = "cpu.cfs CONFIG_CFS_BANDWIDTH",
        CpuIdle = "cpu.idle Linux 5.15",
        Cpu = "cpu CONFIG_CGROUP_SCHED",
        Pids = "pids CONFIG_CGROUP_PIDS",
        IoWeight = "io.weight CONFIG_BFQ_GROUP_IOSCHED or CONFIG_BLK_CGROUP_IOCOST",
        IoMax = "io.max CONFIG_BLK_DEV_THROTTLING",
        Io = "io CONFIG_BLK_CGROUP",
        BlkioThrottle = "blkio.throttle CONFIG_BLK_DEV_THROTTLING",
        BlkioWeight = "blkio CONFIG_BLK_CGROUP, for weights CONFIG_BFQ_GROUP_IOSCHED",
        Hugetlb = "hugetlb CONFIG_CGROUP_HUGETLB and pages of this size",
        Rdma = "rdma CONFIG_CGROUP_RDMA",
        NetCls = "net_cls CONFIG_CGROUP_NET_CLASSID",
        NetPrio = "net_prio CONFIG_CGROUP_NET_PRIO",
        Freezer = "freezer CONFIG_CGROUP_FREEZER",
        CgroupFreeze = "cgroup.freeze Linux 5.2",
        Other = " a kernel that knows it",
    }
}
