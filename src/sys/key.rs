//! The session keyring.
//!
//! # Safety
//!
//! keyctl reads one NUL-terminated string.
#![allow(unsafe_code)]

use core::ffi::CStr;

use syscalls::{Sysno, raw_syscall};

use super::{Errno, done, raw};

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, name)`, man 2 keyctl: joins or makes the keyring; gives its serial number.
///
/// # Errors
///
/// ENOSYS without CONFIG_KEYS; EDQUOT beyond /proc/sys/kernel/keys/{root_,}maxkeys.
pub fn join_session(name: &CStr) -> Result<u32, Errno> {
    const JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: the name is NUL-terminated.
    let serial = raw(unsafe { raw_syscall!(Sysno::keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    u32::try_from(serial).map_err(|_| Errno::RANGE)
}

/// `keyctl(KEYCTL_DESCRIBE, key, buffer, size)`, man 2 keyctl: the permission word in `type;uid;gid;perm;name`.
///
/// # Errors
///
/// EACCES: not viewable.
pub fn permissions(serial: u32) -> Result<u32, Errno> {
    const DESCRIBE: usize = 6;
    let mut text = [0_u8; 256];
    // SAFETY: the kernel writes at most the given number of bytes into the buffer.
    let len = raw(unsafe {
        raw_syscall!(
            Sysno::keyctl,
            DESCRIBE,
            serial,
            text.as_mut_ptr(),
            text.len()
        )
    })?;
    let hex = text
        .get(..len.min(text.len()))
        .unwrap_or(&[])
        .split(|byte| *byte == b';')
        .nth(3)
        .ok_or(Errno::INVAL)?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    hex.iter()
        .try_fold(0_u32, |sum, byte| Some((sum << 4) | digit(byte)?))
        .ok_or(Errno::INVAL)
}

/// `keyctl(KEYCTL_SETPERM, key, perm)`, man 2 keyctl.
///
/// # Errors
///
/// EACCES: not ours to set.
pub fn set_permissions(serial: u32, permissions: u32) -> Result<(), Errno> {
    const SETPERM: usize = 5;
    // SAFETY: numbers only.
    done(unsafe { raw_syscall!(Sysno::keyctl, SETPERM, serial, permissions) })
}
