//! The settings of a terminal, man 4 tty_ioctl.
//!
//! # Safety
//!
//! TCGETS and TCSETS take the address of the kernel's `struct termios`, which lives across the call.
#![allow(unsafe_code)]

use linux_raw_sys::{general as k, ioctl};
use syscalls::{Sysno, raw_syscall};

use super::{AsFd, AsRawFd, Errno, done};

/// Settings as the kernel keeps them. Speeds stay encoded in them: nothing here decodes them, as rustix would.
#[derive(Clone, Copy)]
pub struct Settings(k::termios);

impl Settings {
    /// `ioctl(fd, TCGETS, …)`.
    ///
    /// # Errors
    ///
    /// ENOTTY: not a terminal; EIO: it has hung up.
    pub fn of(fd: impl AsFd) -> Result<Self, Errno> {
        let mut settings = Self(k::termios {
            c_iflag: 0,
            c_oflag: 0,
            c_cflag: 0,
            c_lflag: 0,
            c_line: 0,
            c_cc: [0; 19],
        });
        control(fd, ioctl::TCGETS, &mut settings)?;
        Ok(settings)
    }

    /// `ioctl(fd, TCSETS, …)`: from now on, without waiting for output.
    ///
    /// # Errors
    ///
    /// EIO for a background job whose process group is orphaned; a stopped job otherwise.
    pub fn set(mut self, fd: impl AsFd) -> Result<(), Errno> {
        control(fd, ioctl::TCSETS, &mut self)
    }

    /// Every byte as it comes, man 3 cfmakeraw.
    #[must_use]
    pub fn raw(self) -> Self {
        let Self(mut it) = self;
        it.c_iflag &= !(k::IGNBRK | k::BRKINT | k::PARMRK | k::ISTRIP);
        it.c_iflag &= !(k::INLCR | k::IGNCR | k::ICRNL | k::IXON);
        it.c_oflag &= !k::OPOST;
        it.c_lflag &= !(k::ECHO | k::ECHONL | k::ICANON | k::ISIG | k::IEXTEN);
        it.c_cflag = it.c_cflag & !(k::CSIZE | k::PARENB) | k::CS8;
        for (index, value) in [(k::VMIN, 1), (k::VTIME, 0)] {
            if let Some(place) = it.c_cc.get_mut(index as usize) {
                *place = value;
            }
        }
        Self(it)
    }

    /// The character that ends the input, where the terminal reads lines.
    #[must_use]
    pub fn end_of_file(self) -> Option<u8> {
        let lines = self.0.c_lflag & k::ICANON != 0;
        self.0.c_cc.get(k::VEOF as usize).copied().filter(|_| lines)
    }
}

fn control(fd: impl AsFd, request: u32, settings: &mut Settings) -> Result<(), Errno> {
    let fd = fd.as_fd().as_raw_fd();
    let place = &raw mut settings.0;
    // SAFETY: TCGETS fills the struct and TCSETS reads it; it is the caller's.
    done(unsafe { raw_syscall!(Sysno::ioctl, fd, request, place) })
}
