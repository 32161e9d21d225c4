//! Messages of rtnetlink, man 7 rtnetlink: what is asked, and what comes back. Numbers in the machine's byte order, every
//! part padded to four bytes.
#![forbid(unsafe_code)]

use heapless::Vec;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};

use crate::sys::{AsFd, BorrowedFd, Errno, OwnedFd};

/// RTM_NEWLINK, RTM_SETLINK, RTM_NEWADDR, RTM_GETADDR.
pub(super) const NEW_LINK: u16 = 16;
/// See there.
pub(super) const NEW_ADDRESS: u16 = 20;
/// See there.
pub(super) const GET_ADDRESS: u16 = 22;

/// NLM_F_REQUEST, NLM_F_ACK.
const ACKNOWLEDGED: u16 = 1 | 4;
/// NLM_F_REQUEST, NLM_F_DUMP.
const DUMP: u16 = 1 | 0x300;
/// NLM_F_EXCL, NLM_F_CREATE.
pub(super) const CREATE: u16 = 0x200 | 0x400;
/// NLMSG_ERROR, NLMSG_DONE.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Length of `struct nlmsghdr`, and of the head of an attribute.
const HEAD: usize = 16;
const ATTRIBUTE: usize = 4;

/// One request: an address with peer and broadcast address fits, and so does a name.
#[derive(Clone)]
pub(super) struct Request(Vec<u8, 128>);

impl Request {
    /// Of a kind, with its fixed part.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut request = Self(Vec::new());
        request.put(&[0; 4]);
        let [a, b] = kind.to_ne_bytes();
        let [c, d] = flags.to_ne_bytes();
        request.put(&[a, b, c, d]);
        request.put(&[0; 8]);
        request.put(fixed);
        request
    }

    /// Adds an attribute.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(0);
        let [a, b] = length.to_ne_bytes();
        let [c, d] = kind.to_ne_bytes();
        self.put(&[a, b, c, d]);
        self.put(value);
    }

    fn put(&mut self, bytes: &[u8]) {
        // More than any caller has: the kernel would refuse half of an attribute.
        let _ = self.0.extend_from_slice(bytes);
        while !self.0.len().is_multiple_of(4) {
            let _ = self.0.push(0);
        }
    }

    /// Sets four bytes of the fixed part.
    pub(super) fn set(&mut self, at: usize, value: u32) {
        if let Some(place) = self.0.get_mut(HEAD + at..HEAD + at + 4) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
    }
}

/// A socket of the network namespace in which it was opened.
pub(super) struct Route(OwnedFd);

impl Route {
    pub(super) fn open() -> Result<Self, Errno> {
        // Protocol 0 is NETLINK_ROUTE.
        let flags = SocketFlags::CLOEXEC;
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).map(|fd| Self(fd.into()))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn send(&self, mut request: Request, flags: u16) -> Result<(), Errno> {
        let length = u32::try_from(request.0.len()).unwrap_or(0).to_ne_bytes();
        for (place, byte) in request.0.iter_mut().zip(length) {
            *place = byte;
        }
        for (place, byte) in request.0.iter_mut().skip(6).zip(flags.to_ne_bytes()) {
            *place |= byte;
        }
        rustix::net::send(&self.0, &request.0, SendFlags::empty()).map(drop)
    }

    /// Has something done.
    pub(super) fn ask(&self, request: Request) -> Result<(), Errno> {
        self.send(request, ACKNOWLEDGED)?;
        self.answers(&mut |_, _| ())
    }

    /// Has things listed: the kind and content of each.
    pub(super) fn list(
        &self,
        request: Request,
        take: &mut dyn FnMut(u16, &[u8]),
    ) -> Result<(), Errno> {
        self.send(request, DUMP)?;
        self.answers(take)
    }

    /// Until the last one.
    fn answers(&self, take: &mut dyn FnMut(u16, &[u8])) -> Result<(), Errno> {
        let mut buffer = [0; 8192];
        loop {
            let flags = RecvFlags::empty();
            let (length, _) = rustix::net::recv(&self.0, &mut buffer, flags)?;
            let mut rest = buffer.get(..length).unwrap_or(&[]);
            while !rest.is_empty() {
                let length = number(rest, 0) as usize;
                let kind = u16::try_from(number(rest, 4) & 0xffff).unwrap_or(0);
                let content = rest.get(HEAD..length).ok_or(Errno::PROTO)?;
                match kind {
                    DONE => return Ok(()),
                    ERROR => return answer(number(content, 0).cast_signed()),
                    _ => take(kind, content),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
            }
        }
    }
}

/// The number of an NLMSG_ERROR: negated, or 0.
fn answer(number: i32) -> Result<(), Errno> {
    match number {
        0 => Ok(()),
        negated => Err(Errno::from_raw_os_error(negated.wrapping_neg())),
    }
}

/// Four bytes at a place; 0 where there are none. On a little-endian machine the first two alone are the low half.
pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_ne_bytes)
}

/// The attributes behind the fixed part of an answer: kind and value of each.
pub(super) fn attributes(bytes: &[u8], take: &mut dyn FnMut(u16, &[u8])) {
    let mut rest = bytes;
    while let [a, b, c, d, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(value) = rest.get(ATTRIBUTE..length) else {
            return;
        };
        take(u16::from_ne_bytes([c, d]), value);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
}

#[cfg(test)]
mod tests {
    use super::{NEW_LINK, Request, Route, attributes};
    use crate::error::Errno;

    #[test]
    fn attributes_are_padded_and_read_again() {
        let mut request = Request::new(NEW_LINK, 0, &[7; 16]);
        request.attribute(3, b"eth0\0");
        request.attribute(28, &[1, 2, 3, 4]);
        assert_eq!(request.0.len(), 16 + 16 + 12 + 8);
        let mut seen = Vec::new();
        attributes(&request.0[32..], &mut |kind, value| {
            seen.push((kind, value.to_vec()));
        });
        assert_eq!(seen, [(3, b"eth0\0".to_vec()), (28, vec![1, 2, 3, 4])]);
        // What claims to be longer than it is ends the list; and so does nothing.
        for bytes in [&[9, 0, 1, 0, 5][..], &[0, 0, 1, 0], &[1, 0]] {
            attributes(bytes, &mut |_, _| panic!("{bytes:?}"));
        }
    }

    #[test]
    fn the_kernel_says_no() {
        // An interface that cannot be there.
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        let asked = Route::open().and_then(|route| route.ask(Request::new(19, 0, &fixed)));
        assert!(
            matches!(asked, Err(Errno::NODEV | Errno::PERM)),
            "{asked:?}"
        );
    }
}
