//! The session keyring.
//!
//! # Safety
//!
//! keyctl reads one NUL-terminated string.
#![allow(unsafe_code)]

use core::ffi::CStr;

use syscalls::{Sysno, raw_syscall};

use super::{Errno, done, raw};
use crate::text::{cut, number};

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
    let mut text = text.get(..len).unwrap_or(&[]);
    for _ in 0..3 {
        (_, text) = cut(text, b';');
    }
    let (hex, _) = cut(text, b';');
    let permissions = number(hex, 16).and_then(|number| u32::try_from(number).ok());
    permissions.ok_or(Errno::INVAL)
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
