//! Unix sockets: a pair for parent and child, the start socket, and descriptors sent along.
#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::io::{IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

use super::{BorrowedFd, Errno, OwnedFd};

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

fn seqpacket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let pieces = [IoSlice::new(bytes)];
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &pieces, &mut control, SendFlags::NOSIGNAL)
    })
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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut pieces = [IoSliceMut::new(bytes)];
    let got = loop {
        match rustix::net::recvmsg(socket, &mut pieces, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut fd = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fd = fds.into_iter().next().or(fd);
        }
    }
    Ok((got.bytes, fd))
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
