//! Scheduling, I/O priority, NUMA policy, personality, rlimits of this process.
//!
//! # Safety
//!
//! Each call reads one struct or array that the caller's frame holds for the duration of the call.
#![allow(unsafe_code)]

use syscalls::{Sysno, raw_syscall};

use super::{Errno, done};

/// `struct sched_attr`, version 1 (56 bytes, kernel 5.3; an older one takes zeros at the end), linux/sched/types.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// Size of this struct: 56.
    pub size: u32,
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// For OTHER and BATCH.
    pub nice: i32,
    /// For FIFO and RR.
    pub priority: u32,
    /// For DEADLINE, in ns.
    pub runtime: u64,
    /// For DEADLINE, in ns.
    pub deadline: u64,
    /// For DEADLINE, in ns.
    pub period: u64,
    /// What the SCHED_FLAG_UTIL_CLAMP flags set, which nobody can ask for anything but 0.
    pub util: [u32; 2],
}

/// `int sched_setattr(pid, struct sched_attr *, 0)`, man 2 sched_setattr (kernel 3.14); 0 is the caller.
///
/// # Errors
///
/// EPERM without CAP_SYS_NICE, EINVAL for a mixture the policy does not take, EBUSY without bandwidth for DEADLINE.
pub fn set_scheduler(pid: u32, attr: &SchedAttr) -> Result<(), Errno> {
    // SAFETY: the struct starts with its own size, which the kernel honours.
    done(unsafe { raw_syscall!(Sysno::sched_setattr, pid, core::ptr::from_ref(attr), 0) })
}

/// `ioprio_set(IOPRIO_WHO_PGRP, group, class << 13 | level)`, man 2 ioprio_set; 0 is the group of the caller.
///
/// # Errors
///
/// EPERM: the real-time class needs CAP_SYS_ADMIN or CAP_SYS_NICE; ENOSYS without CONFIG_BLOCK.
pub fn set_io_priority(group: u32, class: u32, level: u32) -> Result<(), Errno> {
    const IOPRIO_WHO_PGRP: usize = 2;
    // SAFETY: numbers only.
    done(unsafe {
        raw_syscall!(
            Sysno::ioprio_set,
            IOPRIO_WHO_PGRP,
            group,
            (class << 13) | level
        )
    })
}

/// `int personality(unsigned long persona)`, man 2 personality.
///
/// # Errors
///
/// EINVAL: the kernel cannot change to it.
pub fn set_personality(persona: u32) -> Result<(), Errno> {
    // SAFETY: a number.
    done(unsafe { raw_syscall!(Sysno::personality, persona) })
}

/// Words of a NUMA node mask: 1,024 nodes, the most a kernel can be built for.
pub const NODE_WORDS: usize = 1024 / usize::BITS as usize;

/// `long set_mempolicy(int mode, const unsigned long *nodemask, unsigned long maxnode)`, man 2 set_mempolicy.
///
/// # Errors
///
/// EINVAL: mode, flags and nodes do not fit, or none of the nodes is there; ENOSYS without CONFIG_NUMA.
pub fn set_memory_policy(mode: u32, nodes: &[usize; NODE_WORDS]) -> Result<(), Errno> {
    let any = nodes.iter().any(|word| *word != 0);
    // The kernel reads maxnode - 1 bits.
    let (mask, bits) = if any {
        (nodes.as_ptr(), NODE_WORDS * usize::BITS as usize + 1)
    } else {
        (core::ptr::null(), 0)
    };
    // SAFETY: the mask is null with length zero, or an array of at least maxnode - 1 bits.
    done(unsafe { raw_syscall!(Sysno::set_mempolicy, mode, mask, bits) })
}

/// `int prlimit(0, resource, new, NULL)`, man 2 prlimit. `u64::MAX` is RLIM_INFINITY.
///
/// # Errors
///
/// EPERM: raising the hard limit needs CAP_SYS_RESOURCE; EINVAL: soft above hard, or an unknown resource.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limits = [soft, hard];
    // SAFETY: `struct rlimit64` is two u64 (man 2 getrlimit), and the old limits are not asked for.
    done(unsafe { raw_syscall!(Sysno::prlimit64, 0, resource, limits.as_ptr(), 0) })
}

/// `int sched_setaffinity(0, size, mask)`, man 2 sched_setaffinity: a CPU a bit. Those that the machine does not have, or
/// the cpuset does not allow, are left out.
///
/// # Errors
///
/// EINVAL: none of them is left.
pub fn set_affinity(cpus: &[usize]) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many bytes as the slice has.
    done(unsafe {
        raw_syscall!(
            Sysno::sched_setaffinity,
            0,
            size_of_val(cpus),
            cpus.as_ptr()
        )
    })
}

/// `int prlimit(0, resource, NULL, old)`, man 2 prlimit: the soft and the hard limit.
///
/// # Errors
///
/// EINVAL: an unknown resource.
pub fn rlimit(resource: u32) -> Result<(u64, u64), Errno> {
    let mut limits = [0_u64; 2];
    // SAFETY: `struct rlimit64` is two u64 (man 2 getrlimit), and no new limits are given.
    done(unsafe { raw_syscall!(Sysno::prlimit64, 0, resource, 0, limits.as_mut_ptr()) })?;
    let [soft, hard] = limits;
    Ok((soft, hard))
}
