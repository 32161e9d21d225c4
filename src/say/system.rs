//! The logs of the system: one datagram to journald in its own protocol, or to whoever reads /dev/log (RFC 3164).
//!
//! Nobody who listens there can hold a container up: what is not taken at once is lost, and on standard error all the
//! same. So is what the foreground says after it has put its filter on itself, which allows no sockets.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::Line;
use crate::sys::{AsFd, sock};
use crate::text::Digits;
use rustix::net::SocketAddrUnix;
use rustix::process::getpid;

const JOURNAL: &CStr = c"/run/systemd/journal/socket";
const SYSLOG: &CStr = c"/dev/log";
/// LOG_USER, syslog(3).
const USER: u64 = 1 << 3;

/// Says it where `journald:IDENT` or `syslog:IDENT` leads; false where `log` is neither.
#[inline(never)] // its buffer would lie in the frame of its caller
pub(super) fn send(log: &CStr, level: &str, id: &[u8], message: &[u8]) -> bool {
    let severity = match level {
        "error" => 3,
        "warning" => 4,
        _ => 7,
    };
    let log = log.to_bytes();
    let (name, form, ident, number) = if let Some(ident) = log.strip_prefix(b"journald:") {
        let form = "PRIORITY=!\nSYSLOG_IDENTIFIER=%\nCONTAINER_ID=#\nMESSAGE=@\n";
        (JOURNAL, form, ident, severity)
    } else if let Some(ident) = log.strip_prefix(b"syslog:") {
        (SYSLOG, "<!>%[$]: @", ident, USER + severity)
    } else {
        return false;
    };
    let mut buffer = [0; super::RECORD];
    let mut line = Line::new(&mut buffer);
    let pid = crate::sys::proc::number(getpid());
    for character in form.chars() {
        match character {
            '!' => line.raw(Digits::new(number).text()),
            '$' => line.raw(Digits::new(pid.into()).text()),
            '%' => line.foreign(ident),
            '#' => line.foreign(id),
            '@' => line.raw(message),
            plain => line.character(plain),
        }
    }
    let socket = SocketAddrUnix::new(name).and_then(|address| sock::datagrams_to(&address));
    if let Ok(socket) = socket {
        let _ = sock::send(socket.as_fd(), line.bytes(), None);
    }
    true
}
