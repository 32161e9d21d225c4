//! Terminals: a pty that plays the caller's terminal, and the receiver behind `--console-socket`.

use std::fs::File;
use std::io::{self, Write as _};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::facts::patience;
use crate::harness::T;
use crate::kernel::{self, check};

/// A master with what has been read from it.
pub struct Master {
    fd: OwnedFd,
    pub text: String,
}

impl Master {
    /// Reads until the word comes; fails the case after 5 s.
    #[track_caller]
    pub fn until(&mut self, word: &str) -> &str {
        let end = Instant::now() + patience(5);
        while !self.text.contains(word) {
            assert!(
                Instant::now() < end,
                "waited 5 s for {word:?}, the terminal says {:?}",
                self.text
            );
            if !self.more(100) {
                break;
            }
        }
        assert!(
            self.text.contains(word),
            "the terminal was closed before {word:?}, it says {:?}",
            self.text
        );
        &self.text
    }

    /// Reads until a whole line that holds the word has come.
    #[track_caller]
    pub fn until_line(&mut self, word: &str) {
        self.until(word);
        let end = Instant::now() + patience(5);
        while !self
            .text
            .split(word)
            .last()
            .is_some_and(|rest| rest.contains('\n'))
        {
            assert!(Instant::now() < end, "half a line: {:?}", self.text);
            self.more(100);
        }
    }

    /// Reads once; false at hang-up.
    pub fn more(&mut self, millis: i32) -> bool {
        match kernel::read_some(self.fd.as_raw_fd(), 65_536, millis) {
            Ok(Some(bytes)) if bytes.is_empty() => {
                std::thread::sleep(Duration::from_millis(2));
                false
            }
            Ok(Some(bytes)) => {
                self.text += &String::from_utf8_lossy(&bytes);
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub fn write(&mut self, text: &str) {
        let fd = self.fd.try_clone().expect("dup");
        File::from(fd).write_all(text.as_bytes()).expect("terminal");
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: size is a valid winsize.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }

    /// (rows, columns).
    pub fn size(&self) -> (u16, u16) {
        // SAFETY: all-zero is a valid winsize; the kernel fills it.
        let mut size: libc::winsize = unsafe { mem::zeroed() };
        // SAFETY: size is a valid place for a winsize.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
        (size.ws_row, size.ws_col)
    }

    /// Local modes, to see whether raw mode was left again.
    pub fn modes(&self) -> (u32, u32, u32) {
        // SAFETY: all-zero is a valid termios; the kernel fills it.
        let mut modes: libc::termios = unsafe { mem::zeroed() };
        // SAFETY: modes is a valid place for a termios.
        unsafe { libc::tcgetattr(self.fd.as_raw_fd(), &raw mut modes) };
        (modes.c_iflag, modes.c_oflag, modes.c_lflag)
    }
}

/// Opens a pty of the machine.
pub fn open() -> io::Result<(Master, OwnedFd)> {
    let (mut master, mut slave): (RawFd, RawFd) = (-1, -1);
    // SAFETY: two valid places for ints; name, modes and size are left out.
    check(unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            std::ptr::null(),
        )
    })?;
    // SAFETY: both descriptors were just made for us.
    let (fd, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    kernel::cloexec(&fd, true);
    kernel::cloexec(&slave, true);
    let text = String::new();
    Ok((Master { fd, text }, slave))
}

/// The socket that a caller of `create` listens on.
pub struct ConsoleSocket {
    pub path: PathBuf,
    listener: UnixListener,
}

impl ConsoleSocket {
    pub fn new(t: &T) -> Self {
        Self::at(t.path(&format!("console{}", t.next())))
    }

    pub fn at(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).expect("tmpfs");
        Self { path, listener }
    }

    /// Accepts once: (payload, master). The call that sends must be over or running.
    pub fn receive(&self) -> (Vec<u8>, Master) {
        let (payload, fd) = self.descriptor();
        let text = String::new();
        (payload, Master { fd, text })
    }

    /// Accepts once: (payload, descriptor).
    pub fn descriptor(&self) -> (Vec<u8>, OwnedFd) {
        let ready = kernel::readable(self.listener.as_raw_fd(), 5_000).expect("poll");
        assert!(ready, "nobody connected to the console socket");
        let (socket, _) = self.listener.accept().expect("accept");
        let mut payload = [0_u8; 4096];
        let mut control = [0_u64; 16];
        let mut part = libc::iovec {
            iov_base: payload.as_mut_ptr().cast(),
            iov_len: payload.len(),
        };
        // SAFETY: all-zero is a valid msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of_val(&control) as _;
        // SAFETY: the message points at live buffers of the stated lengths.
        let got =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        let got = usize::try_from(check(got as i64).expect("recvmsg")).unwrap_or(0);
        // SAFETY: recvmsg has filled the header.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        assert!(!header.is_null(), "no descriptor came with the message");
        // SAFETY: the header is not null and was written by the kernel.
        let (kind, length) = unsafe { ((*header).cmsg_type, (*header).cmsg_len) };
        assert_eq!(kind, libc::SCM_RIGHTS);
        // SAFETY: CMSG_LEN only computes.
        let one = unsafe { libc::CMSG_LEN(4) } as usize;
        assert_eq!(length, one, "exactly one descriptor");
        // SAFETY: the data of SCM_RIGHTS with this length is one int.
        let fd = unsafe { libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned() };
        // SAFETY: the kernel has just installed this descriptor for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        (payload[..got].to_vec(), fd)
    }
}
