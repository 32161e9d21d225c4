//! The loopback interface.
//!
//! # Safety
//!
//! The two ioctls read and write one `struct ifreq` (40 bytes on 64-bit, 32 on 32-bit; the kernel copies its own size).
#![allow(unsafe_code)]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use syscalls::{Sysno, raw_syscall};

use super::{AsRawFd, Errno, raw};

/// `struct ifreq` as far as the flags calls use it, man 7 netdevice; padded to more than any architecture's size.
#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 46],
}

/// Sets IFF_UP on `lo` of the current network namespace: SIOCSIFFLAGS, man 7 netdevice.
///
/// A unix socket serves, so a kernel without IPv4 is enough.
///
/// # Errors
///
/// ENODEV: no loopback device; EPERM without CAP_NET_ADMIN.
pub fn loopback_up() -> Result<(), Errno> {
    const SIOCGIFFLAGS: usize = 0x8913;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u16 = 1;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut request = IfReq {
        name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        flags: 0,
        rest: [0; 46],
    };
    // SAFETY: `request` is at least as large as the kernel's struct and lives across the call.
    raw(unsafe {
        raw_syscall!(
            Sysno::ioctl,
            socket.as_raw_fd(),
            SIOCGIFFLAGS,
            core::ptr::from_mut(&mut request)
        )
    })?;
    request.flags |= IFF_UP;
    // SAFETY: as above.
    raw(unsafe {
        raw_syscall!(
            Sysno::ioctl,
            socket.as_raw_fd(),
            SIOCSIFFLAGS,
            core::ptr::from_mut(&mut request)
        )
    })?;
    Ok(())
}
