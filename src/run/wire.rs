//! What the processes of one start say to each other: records of 16 bytes over a SEQPACKET pair, descriptors alongside.
//!
//! Both sides state what has to come next; anything else is `Cause::Protocol`. The parent never waits without a
//! deadline, and the end of the conversation without a [`Msg::Fault`] means that execve has closed the other end.
#![forbid(unsafe_code)]

use core::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{At, Cause, Context, Errno, Fault, Step};
use crate::hooks::SAID;
use crate::sys::time::{self, MILLISECOND, SECOND};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, sock};

/// How long the parent waits for the next word: mounts of a slow device are in it.
pub(super) const PATIENCE: Duration = Duration::from_secs(SECONDS as u64);
const SECONDS: u16 = 120;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Msg {
    /// Parent to init: the cgroups are there, enter them.
    Enter,
    /// Middle to parent: this is the pid of init.
    Born(u32),
    /// Init to parent: I am in the network namespace that gets devices.
    Network,
    /// Parent to init: they are there.
    Moved,
    /// Init to parent or `start`, with a descriptor: the socket for sd_notify.
    Notify,
    /// Init to parent, with a descriptor: the terminal's master.
    Terminal,
    /// Init to parent: everything but execve is done.
    Ready,
    /// Parent to init: the state is written, the container exists.
    Committed,
    /// Parent or `start` to init: execute.
    Start,
    /// Init to parent or `start`: the listener of the filter that I load now will have this number. The answer is
    /// `Start`, when it has been taken.
    Listener(u32),
    /// Middle to parent: the user namespace is there, map its ids.
    Users,
    /// Parent to middle: they are mapped.
    Mapped,
    /// Init to parent: what comes before pivot_root is done; the hooks of the runtime run now.
    Mounted,
    /// Parent to init: they have run.
    Proceed,
    /// Init to parent: give me the source of this operation.
    Source(u32),
    /// A process of the parent to init, with a descriptor: this is it.
    Opened,
    /// Init to parent or `start`: hooks run now, which may take as long as they like.
    Patience,
    /// Init to parent or `start`, with a descriptor: what the hook that failed has written.
    Said,
    /// Anybody to the parent or `start`: it went wrong, I end.
    Fault(Fault),
    /// Init to parent: something is not as asked, but I go on.
    Warning(Fault),
    /// The other side has ended or executed the program.
    End,
}

impl Msg {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::End => 0,
            Self::Enter => 1,
            Self::Born(_) => 2,
            Self::Terminal => 3,
            Self::Ready => 4,
            Self::Committed => 5,
            Self::Start => 6,
            Self::Fault(_) => 7,
            Self::Warning(_) => 8,
            Self::Listener(_) => 9,
            Self::Mounted => 10,
            Self::Proceed => 11,
            Self::Patience => 12,
            Self::Said => 13,
            Self::Users => 14,
            Self::Mapped => 15,
            Self::Network => 16,
            Self::Moved => 17,
            Self::Notify => 18,
            Self::Source(_) => 19,
            Self::Opened => 20,
        }
    }

    /// Only this will do.
    pub(super) fn must_be(self, want: Self) -> Result<(), Fault> {
        let (want, got) = (want.number(), self.number());
        if want == got {
            return Ok(());
        }
        Err(Fault::new(Step::Talk, Cause::Protocol(want, got)))
    }

    /// The number in the highest byte, and below it a pid, a descriptor or the bits of a fault.
    fn to_bytes(self) -> [u8; 16] {
        let payload = match self {
            Self::Fault(fault) | Self::Warning(fault) => u128::from_le_bytes(fault.to_bytes()),
            Self::Born(number) | Self::Listener(number) | Self::Source(number) => {
                u128::from(number)
            }
            _ => 0,
        };
        (payload | u128::from(self.number()) << 120).to_le_bytes()
    }

    fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let record = u128::from_le_bytes(bytes);
        let payload = record & (u128::MAX >> 8);
        let fault = || Fault::from_bytes(payload.to_le_bytes());
        Some(match record >> 120 {
            1 => Self::Enter,
            2 => Self::Born(u32::try_from(payload).ok()?),
            3 => Self::Terminal,
            4 => Self::Ready,
            5 => Self::Committed,
            6 => Self::Start,
            7 => Self::Fault(fault()?),
            8 => Self::Warning(fault()?),
            9 => Self::Listener(u32::try_from(payload).ok()?),
            10 => Self::Mounted,
            11 => Self::Proceed,
            12 => Self::Patience,
            13 => Self::Said,
            14 => Self::Users,
            15 => Self::Mapped,
            16 => Self::Network,
            17 => Self::Moved,
            18 => Self::Notify,
            19 => Self::Source(u32::try_from(payload).ok()?),
            20 => Self::Opened,
            _ => return None,
        })
    }
}

/// One end of the conversation.
pub struct Wire(pub(super) OwnedFd);

impl Wire {
    /// Two ends; receiving on the first one has a deadline.
    pub fn pair() -> Result<(Self, Self), Fault> {
        let (parent, child) = sock::pair().step(Step::Talk)?;
        sock::set_deadline(parent.as_fd(), Some(PATIENCE)).step(Step::Talk)?;
        Ok((Self(parent), Self(child)))
    }

    /// Says something, with a descriptor if there is one. To one who has ended: then its last word is the fault.
    pub fn send(&self, msg: Msg, fd: Option<BorrowedFd<'_>>) -> Result<(), Fault> {
        match sock::send(self.0.as_fd(), &msg.to_bytes(), fd) {
            Err(Errno::PIPE | Errno::CONNRESET) => match self.receive()? {
                (Msg::Fault(fault), _) => Err(fault),
                _ => Err(Errno::PIPE).step(Step::Talk),
            },
            sent => sent.step(Step::Talk),
        }
    }

    /// Hears something; [`Msg::End`] when there is nothing more to come. Words about hooks are acted on here.
    pub(super) fn receive(&self) -> Result<(Msg, Option<OwnedFd>), Fault> {
        loop {
            match self.record()? {
                (Msg::Patience, _) => {
                    sock::set_deadline(self.0.as_fd(), None).step(Step::Talk)?;
                }
                (Msg::Said, Some(output)) => {
                    if let Some(said) = SAID.take() {
                        said.drain(&output);
                        SAID.put_back(said);
                    }
                }
                other => return Ok(other),
            }
        }
    }

    fn record(&self) -> Result<(Msg, Option<OwnedFd>), Fault> {
        let mut bytes = [0; 16];
        let mut heard = sock::receive(self.0.as_fd(), &mut bytes);
        // It has ended and has not read all that we said: that is told once, and before what it has said.
        if matches!(heard, Err(Errno::CONNRESET)) {
            heard = sock::receive(self.0.as_fd(), &mut bytes);
        }
        match heard {
            Ok((0, _)) => Ok((Msg::End, None)),
            Ok((16, fd)) => Msg::from_bytes(bytes)
                .map(|msg| (msg, fd))
                .ok_or(Fault::new(Step::Talk, Cause::Protocol(0, 0xff))),
            Ok(_) => Err(Fault::new(Step::Talk, Cause::Protocol(0, 0xfe))),
            Err(Errno::AGAIN) => Err(Fault::new(Step::Talk, Cause::Timeout(SECONDS))),
            Err(errno) => Err(Fault::placed(Step::Talk, Cause::Errno(errno), At::Nothing)),
        }
    }

    /// Whether there is something to hear, within a moment.
    pub(super) fn has_word(&self) -> Result<bool, Fault> {
        const MOMENT: u64 = MILLISECOND / 5;
        let mut wire = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut wire, Some(&time::span(MOMENT)))
            .map(|ready| ready > 0)
            .step(Step::Talk)
    }

    /// Whether this process ends before there is something to hear.
    pub(super) fn is_dumb(&self, process: &OwnedFd) -> bool {
        let fds = [&self.0, process];
        let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::IN));
        let _ = poll(&mut fds, Some(&time::span(PATIENCE.as_secs() * SECOND)));
        let [wire, process] = fds.map(|fd| fd.revents().is_empty());
        wire && !process
    }

    /// Hears the word `Start`, with read(2) alone.
    pub(super) fn goes_on(&self) -> bool {
        let mut bytes = [0; 16];
        let heard = rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut bytes));
        heard == Ok(16) && Msg::from_bytes(bytes) == Some(Msg::Start)
    }

    /// Hears exactly this; a fault of the other side becomes ours, warnings go to `warn`.
    pub fn expect(&self, want: Msg, warn: &mut dyn FnMut(Fault)) -> Result<Option<OwnedFd>, Fault> {
        let (got, fd) = self.hear(warn)?;
        got.must_be(want).map(|()| fd)
    }

    /// Hears something else than faults and warnings.
    pub(super) fn hear(
        &self,
        warn: &mut dyn FnMut(Fault),
    ) -> Result<(Msg, Option<OwnedFd>), Fault> {
        loop {
            match self.receive()? {
                (Msg::Fault(fault), _) => return Err(fault),
                (Msg::Warning(fault), _) => warn(fault),
                word => return Ok(word),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Msg, Wire};
    use crate::error::{At, Cause, Errno, Fault, Step};

    fn fault() -> Fault {
        Fault::placed(Step::Exec, Cause::Errno(Errno::NOENT), At::Arena(5))
    }

    #[test]
    fn every_word_arrives() {
        let (one, two) = Wire::pair().unwrap();
        let words = [
            Msg::Enter,
            Msg::Born(4_194_304),
            Msg::Terminal,
            Msg::Ready,
            Msg::Committed,
            Msg::Start,
            Msg::Mounted,
            Msg::Users,
            Msg::Mapped,
            Msg::Source(17),
            Msg::Opened,
            Msg::Proceed,
            Msg::Listener(7),
            Msg::Network,
            Msg::Notify,
            Msg::Moved,
            Msg::Fault(fault()),
            Msg::Warning(fault()),
        ];
        for word in words {
            two.send(word, None).unwrap();
            assert_eq!(one.receive().unwrap().0, word);
        }
        drop(two);
        assert_eq!(one.receive().unwrap().0, Msg::End);
    }

    #[test]
    fn last_words_are_heard() {
        let (one, two) = Wire::pair().unwrap();
        two.send(Msg::Fault(fault()), None).unwrap();
        drop(two);
        assert_eq!(one.send(Msg::Enter, None).unwrap_err(), fault());
        assert_eq!(
            one.send(Msg::Enter, None).unwrap_err().errno(),
            Some(Errno::PIPE)
        );
        // Who has not read what was said to him has last words, too.
        for tell_more in [false, true] {
            let (one, two) = Wire::pair().unwrap();
            one.send(Msg::Enter, None).unwrap();
            two.send(Msg::Fault(fault()), None).unwrap();
            drop(two);
            if tell_more {
                assert_eq!(one.send(Msg::Start, None).unwrap_err(), fault());
            } else {
                assert_eq!(one.receive().unwrap().0, Msg::Fault(fault()));
            }
            assert_eq!(one.receive().unwrap().0, Msg::End);
        }
    }

    #[test]
    fn the_unexpected_is_a_fault() {
        let (one, two) = Wire::pair().unwrap();
        two.send(Msg::Warning(fault()), None).unwrap();
        two.send(Msg::Ready, None).unwrap();
        let mut warnings = 0;
        assert!(one.expect(Msg::Ready, &mut |_| warnings += 1).is_ok());
        assert_eq!(warnings, 1);
        two.send(Msg::Ready, None).unwrap();
        assert_eq!(
            one.expect(Msg::Start, &mut |_| ()).unwrap_err().cause(),
            Cause::Protocol(6, 4)
        );
        two.send(Msg::Fault(fault()), None).unwrap();
        assert_eq!(one.expect(Msg::Start, &mut |_| ()).unwrap_err(), fault());
    }
}
