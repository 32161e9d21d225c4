//! Identity: ids, groups, the five capability sets.
#![forbid(unsafe_code)]

use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::Errno;

/// `setgroups(2)`: the supplementary groups become exactly these.
///
/// # Errors
///
/// EPERM without CAP_SETGID or in a user namespace that denies it.
pub fn set_groups(groups: &[Gid]) -> Result<(), Errno> {
    rustix::thread::set_thread_groups(groups)
}

/// `setresgid(2)` and `setresuid(2)`, all three ids, in that order.
///
/// # Errors
///
/// EPERM without CAP_SETGID or CAP_SETUID, EINVAL for an id that is not mapped, EAGAIN beyond RLIMIT_NPROC.
pub fn set_ids(uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// `prctl(PR_SET_KEEPCAPS)`, man 2 prctl: whether the permitted set survives setresuid.
///
/// # Errors
///
/// None that a kernel with capabilities gives.
pub fn keep_capabilities(keep: bool) -> Result<(), Errno> {
    rustix::thread::set_keep_capabilities(keep)
}

fn single(number: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1_u64.checked_shl(number).unwrap_or(0))
}

/// `prctl(PR_CAPBSET_DROP)`, man 2 prctl.
///
/// # Errors
///
/// EPERM without CAP_SETPCAP; EINVAL for an unknown one.
pub fn drop_bounding(number: u32) -> Result<(), Errno> {
    rustix::thread::remove_capability_from_bounding_set(single(number))
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)`, man 2 prctl (kernel 4.3).
///
/// # Errors
///
/// EINVAL below 4.3.
pub fn clear_ambient() -> Result<(), Errno> {
    rustix::thread::clear_ambient_capability_set()
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)`, man 2 prctl (kernel 4.3).
///
/// # Errors
///
/// EPERM where it is not both permitted and inheritable.
pub fn raise_ambient(number: u32) -> Result<(), Errno> {
    rustix::thread::configure_capability_in_ambient_set(single(number), true)
}

/// `capset(2)`: effective, permitted, inheritable of this thread.
///
/// # Errors
///
/// EPERM where a set would grow beyond what is permitted.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    let set = CapabilitySet::from_bits_retain;
    let sets = CapabilitySets {
        effective: set(effective),
        permitted: set(permitted),
        inheritable: set(inheritable),
    };
    rustix::thread::set_capabilities(None, sets)
}

/// `capget(2)`: effective, permitted, inheritable of this thread.
///
/// # Errors
///
/// None that a kernel with capabilities gives.
pub fn capabilities() -> Result<(u64, u64, u64), Errno> {
    let sets = rustix::thread::capabilities(None)?;
    Ok((
        sets.effective.bits(),
        sets.permitted.bits(),
        sets.inheritable.bits(),
    ))
}

/// `prctl(PR_SET_NO_NEW_PRIVS, 1)`, man 2 prctl (kernel 3.5).
///
/// # Errors
///
/// EINVAL below 3.5.
pub fn no_new_privileges() -> Result<(), Errno> {
    rustix::thread::set_no_new_privs(true)
}
