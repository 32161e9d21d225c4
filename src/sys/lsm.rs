//! Attributes that security modules keep for this process.
//!
//! # Safety
//!
//! The call reads one struct that the caller's frame holds for the duration of the call.
#![allow(unsafe_code)]

use syscalls::{Sysno, raw_syscall};

use super::{Errno, done};

/// The modules with labels, linux/lsm.h.
pub const SELINUX: u64 = 101;
/// As above.
pub const APPARMOR: u64 = 104;
/// The label of the next program, linux/lsm.h.
pub const EXEC: u32 = 101;
/// The label of new keys.
pub const KEYCREATE: u32 = 103;

/// The kernel takes a page.
const TEXT: usize = 4096 - 32;

/// `struct lsm_ctx`, linux/lsm.h.
#[repr(C)]
struct Context {
    id: u64,
    flags: u64,
    /// Of the struct with its text.
    len: u64,
    text_len: u64,
    text: [u8; TEXT],
}

/// `lsm_set_self_attr(attr, struct lsm_ctx *, size, 0)`, Linux 6.8: the one way that has no path.
///
/// # Errors
///
/// ENOSYS before that; EOPNOTSUPP: that module is not active; EINVAL, ENOENT: it does not know the label.
#[inline(never)] // its page would lie in the frame of its caller
pub fn set_self_attribute(module: u64, attribute: u32, text: &[u8]) -> Result<(), Errno> {
    let mut context = Context {
        id: module,
        flags: 0,
        len: 0,
        text_len: text.len() as u64,
        text: [0; TEXT],
    };
    let place = context.text.get_mut(..text.len()).ok_or(Errno::TOOBIG)?;
    place.copy_from_slice(text);
    context.len = context.text_len + 32;
    // SAFETY: `len` bytes of the struct are there: its head of 32 bytes and the text, which was copied into it.
    done(unsafe {
        raw_syscall!(
            Sysno::lsm_set_self_attr,
            attribute,
            core::ptr::from_ref(&context),
            context.len,
            0
        )
    })
}
