//! The files of one container: written under another name, flushed unless the file system is in memory, and renamed;
//! read without trust in what is there.
#![forbid(unsafe_code)]

use super::crc::checksum;
use super::dir::Dir;
use super::record::{Content, Exit, Kind, Record, Stored, encode};
use super::writer::Writer;
use crate::error::{At, Context, Errno, Fault, Rule, Step};
use crate::limits::{Limit, STATE_BYTES};
use crate::sys::file::{read_whole, write_whole};
use crate::sys::{OwnedFd, path};
use core::ffi::CStr;
use rustix::fs::{AtFlags, FileType, OFlags, fdatasync, fstat, fsync, renameat, unlinkat};

pub(super) const STATE: &CStr = c"state";
pub(super) const INTENT: &CStr = c"intent";
pub(super) const CONFIG: &CStr = c"config.json";
pub(super) const EXIT: &CStr = c"exit";
/// Only the holder of the lock writes, so one name is enough.
const NEW: &CStr = c"new";

impl Dir<'_> {
    /// Writes what is needed to remove a container whose creation is interrupted; before anything is made for it.
    pub fn intent(&self, intent: &Record<'_>) -> Result<(), Fault> {
        let file = self.write(INTENT, Content::Intent(intent))?;
        self.intent.set(Some(file));
        Ok(())
    }

    /// Keeps config.json as it is now: what the bundle holds later is no longer the container's. Gives the checksum for
    /// the state, without which nobody reads the copy.
    pub fn keep_config(&self, document: &[u8]) -> Result<u32, Fault> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = path::open(&self.fd, CONFIG, flags, 0o600).step(Step::WriteState)?;
        write_whole(&file, document).step(Step::WriteState)?;
        if self.root.durable {
            fdatasync(&file).step(Step::WriteState)?;
        }
        Ok(checksum(document))
    }

    /// Reads the copy of config.json; [`Rule::Corrupt`] where it is not the one that the state knows.
    pub fn load_config<'b>(
        &self,
        record: Stored<'_>,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Fault> {
        let document = self.read_file(CONFIG, buffer)?.ok_or(corrupt())?;
        if checksum(document) == record.config() {
            Ok(document)
        } else {
            Err(corrupt())
        }
    }

    /// Writes the state, and from then on the container exists for everybody.
    pub fn commit(&self, record: &Record<'_>) -> Result<(), Fault> {
        let content = Content::State(record);
        self.write(STATE, content)?;
        // The intent has served: a copy of the state, longer than it, takes its place. Where the state is damaged later,
        // `delete --force` still knows what to remove.
        match self.intent.take() {
            Some(file) => self.put(&file, content),
            None => Ok(()),
        }
    }

    /// Keeps how the init has ended: a wait status.
    pub fn keep_exit(&self, exit: &Exit<'_>) -> Result<(), Fault> {
        self.write(EXIT, Content::Exit(exit)).map(drop)
    }

    /// How the init has ended, where somebody has kept that.
    pub fn load_exit(&self, buffer: &mut [u8]) -> Result<Option<u16>, Fault> {
        let stored = self.read(EXIT, Kind::Exit, buffer)?;
        Ok(stored.map(Stored::exit_status))
    }

    /// Reads the state. [`Rule::HalfMade`]: a creation is under way or was interrupted.
    pub fn load<'b>(&self, buffer: &'b mut [u8]) -> Result<Stored<'b>, Fault> {
        let rule = Fault::rule(Step::ReadState, Rule::HalfMade, At::Nothing);
        self.read(STATE, Kind::State, buffer)?.ok_or(rule)
    }

    /// Reads the copy of the state, for the removal of a container whose state is damaged.
    pub fn load_copy<'b>(&self, buffer: &'b mut [u8]) -> Result<Stored<'b>, Fault> {
        self.read(INTENT, Kind::State, buffer)?.ok_or(corrupt())
    }

    /// Reads the intent, or the copy of the state in its place; `None` where the creation did not get that far.
    pub fn load_intent<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<Stored<'b>>, Fault> {
        self.read(INTENT, Kind::Either, buffer)
    }

    /// Reads one of the records; `None` where there is none.
    fn read<'b>(
        &self,
        name: &CStr,
        kind: Kind,
        buffer: &'b mut [u8],
    ) -> Result<Option<Stored<'b>>, Fault> {
        let Some(bytes) = self.read_file(name, buffer)? else {
            return Ok(None);
        };
        Stored::read(bytes, self.id.to_bytes(), kind)
            .map(Some)
            .map_err(|rule| Fault::rule(Step::ReadState, rule, At::Nothing))
    }

    /// Reads one of the files into `buffer`; `None` where there is none.
    fn read_file<'b>(&self, name: &CStr, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Fault> {
        // O_NONBLOCK: a fifo in this place does not hold us up.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = match path::open(&self.fd, name, flags, 0) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            // A link, or a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Err(corrupt()),
            Err(errno) => return Err(errno).step(Step::ReadState),
        };
        let stat = fstat(&file).step(Step::ReadState)?;
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || stat.st_uid != rustix::process::geteuid().as_raw()
        {
            return Err(corrupt());
        }
        let place = buffer.get_mut(..size).ok_or(corrupt())?;
        let length = read_whole(&file, place).step(Step::ReadState)?;
        Ok(place.get(..length))
    }

    /// Writes one of the files: under another name, flushed, renamed.
    fn write(&self, name: &CStr, content: Content<'_>) -> Result<OwnedFd, Fault> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || path::open(&self.fd, NEW, flags, 0o600);
        let file = match open() {
            // Left by a writer that was killed: we have the lock, so it is nobody's.
            Err(Errno::EXIST) => {
                unlinkat(&self.fd, NEW, AtFlags::empty()).step(Step::WriteState)?;
                open()
            }
            opened => opened,
        }
        .step(Step::WriteState)?;
        self.put(&file, content)?;
        if self.root.durable {
            fdatasync(&file).step(Step::WriteState)?;
        }
        renameat(&self.fd, NEW, &self.fd, name).step(Step::WriteState)?;
        if self.root.durable {
            fsync(&self.fd).step(Step::WriteState)?;
            fsync(self.root.fd()).step(Step::WriteState)?;
        }
        Ok(file)
    }

    /// Fills a file.
    #[inline(never)] // its buffer would lie in the frame of everything below
    fn put(&self, file: &OwnedFd, content: Content<'_>) -> Result<(), Fault> {
        let mut writer = Writer::new(file);
        encode(self.id.to_bytes(), content, &mut |piece| writer.put(piece));
        if writer.total > STATE_BYTES {
            return Err(Fault::limit(
                Step::WriteState,
                Limit::STATE_BYTES,
                At::Nothing,
            ));
        }
        writer.finish().step(Step::WriteState)
    }
}

fn corrupt() -> Fault {
    Fault::rule(Step::ReadState, Rule::Corrupt, At::Nothing)
}
