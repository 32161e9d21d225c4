//! Unix sockets: a pair for parent and child, the start socket, and descriptors sent along.
//!
//! # Safety
//!
//! A message of sendmsg(2) and recvmsg(2) points to one piece and one control message that live across the call. A
//! descriptor that the kernel has put into a control message belongs to whoever has received it.
#![allow(unsafe_code)]

use core::ffi::CStr;
use core::ptr::null_mut;

use linux_raw_sys::net;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use syscalls::{Sysno, raw_syscall};

use super::{AsRawFd, BorrowedFd, Errno, FromRawFd, OwnedFd, RawFd, raw};

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// `socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)`, man 2 socketpair.
///
/// # Errors
///
/// EMFILE, ENFILE, ENOMEM.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map(|(one, other)| (one.into(), other.into()))
}

/// A listening SEQPACKET socket with this name in the current directory; one caller can wait in its queue.
///
/// # Errors
///
/// EADDRINUSE: the name is taken; what bind(2) and listen(2) say.
pub fn listen(name: &CStr) -> Result<OwnedFd, Errno> {
    let socket = seqpacket(SocketFlags::CLOEXEC)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(name)?)?;
    rustix::net::listen(&socket, 1)?;
    Ok(socket)
}

/// Connects to the socket with this name in the current directory.
///
/// # Errors
///
/// ENOENT: no such name; ECONNREFUSED: nobody listens any more; EAGAIN: its queue is full.
pub fn connect(name: &CStr) -> Result<OwnedFd, Errno> {
    let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(name)?)?;
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok(socket)
}

/// Connects a stream socket to a path.
///
/// # Errors
///
/// ENOENT, ECONNREFUSED: nobody listens; EACCES.
pub fn stream(path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// A socket for datagrams that does not wait for room, nor for what has not come.
///
/// # Errors
///
/// EMFILE, ENFILE, ENOMEM.
pub fn datagrams() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map(OwnedFd::from)
}

/// The same, connected.
///
/// # Errors
///
/// ENOENT, ECONNREFUSED: nobody listens; EACCES.
pub fn datagrams_to(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let socket = datagrams()?;
    rustix::net::connect(&socket, address)?;
    Ok(socket)
}

fn seqpacket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map(OwnedFd::from)
}

/// SO_RCVTIMEO and SO_SNDTIMEO, man 7 socket: a receive that waits longer is EAGAIN. `None` waits for ever.
///
/// # Errors
///
/// None for a socket.
pub fn set_deadline(
    socket: BorrowedFd<'_>,
    time: Option<core::time::Duration>,
) -> Result<(), Errno> {
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, time)
}

/// A control message with one descriptor, man 3 cmsg.
#[repr(C)]
struct Control {
    head: net::cmsghdr,
    fd: RawFd,
}

/// CMSG_LEN(sizeof(int)): room for one descriptor and not for a second one.
const CONTROL: usize = size_of::<net::cmsghdr>() + size_of::<RawFd>();

/// sendmsg(2) or recvmsg(2) of one piece, which rustix has as iterators over any messages; EINTR is retried.
fn transfer(
    call: Sysno,
    socket: BorrowedFd<'_>,
    (base, length): (*const u8, usize),
    control: &mut Control,
    flags: u32,
) -> Result<usize, Errno> {
    // `struct iovec`.
    let mut piece = (base as usize, length);
    let piece: *mut (usize, usize) = &raw mut piece;
    let mut message = net::msghdr {
        msg_name: null_mut(),
        msg_namelen: 0,
        msg_iov: piece.cast(),
        msg_iovlen: 1,
        msg_control: core::ptr::from_mut(control).cast(),
        msg_controllen: CONTROL,
        msg_flags: 0,
    };
    rustix::io::retry_on_intr(|| {
        // SAFETY: all that the message points to lives until the end of this function and is as long as it says; the
        // caller's bytes are writable for recvmsg.
        raw(unsafe { raw_syscall!(call, socket.as_raw_fd(), &raw mut message, flags) })
    })
}

/// Sends one record, with a descriptor if there is one. MSG_NOSIGNAL: a lost peer is EPIPE.
///
/// # Errors
///
/// EPIPE, ECONNRESET: the peer is gone.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let Some(fd) = fd else {
        return rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))
            .map(drop);
    };
    let mut control = Control {
        head: net::cmsghdr {
            cmsg_len: CONTROL,
            cmsg_level: SOL_SOCKET,
            cmsg_type: SCM_RIGHTS,
        },
        fd: fd.as_raw_fd(),
    };
    let piece = (bytes.as_ptr(), bytes.len());
    transfer(
        Sysno::sendmsg,
        socket,
        piece,
        &mut control,
        net::MSG_NOSIGNAL,
    )
    .map(drop)
}

/// Receives one record into `bytes`: its length (0 at the end of the conversation) and the descriptor that came along.
///
/// # Errors
///
/// EAGAIN: the deadline passed; ECONNRESET.
pub fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut control = Control {
        head: net::cmsghdr {
            cmsg_len: 0,
            cmsg_level: 0,
            cmsg_type: 0,
        },
        fd: -1,
    };
    let piece = (bytes.as_mut_ptr().cast_const(), bytes.len());
    let flags = net::MSG_CMSG_CLOEXEC;
    let length = transfer(Sysno::recvmsg, socket, piece, &mut control, flags)?;
    let Control { head, fd } = control;
    let rights = head.cmsg_level == SOL_SOCKET && head.cmsg_type == SCM_RIGHTS;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    let fd = (rights && fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok((length, fd))
}

#[cfg(test)]
mod tests {
    use super::{pair, receive, send};
    use rustix::fd::AsFd;

    #[test]
    fn records_and_descriptors_arrive() {
        let (one, two) = pair().unwrap();
        send(one.as_fd(), b"hello", None).unwrap();
        send(one.as_fd(), b"fd", Some(one.as_fd())).unwrap();
        drop(one);
        let mut bytes = [0; 16];
        assert!(matches!(receive(two.as_fd(), &mut bytes), Ok((5, None))));
        let (len, fd) = receive(two.as_fd(), &mut bytes).unwrap();
        assert_eq!((len, fd.is_some()), (2, true));
        drop(fd);
        assert!(matches!(receive(two.as_fd(), &mut bytes), Ok((0, None))));
    }
}
