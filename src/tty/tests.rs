//! Real terminals and pipes.

use super::{Mode, Relay, check, connect, hand_over, is_multiplexer, other_end};
use crate::error::{Cause, Errno, Rule, Step};
use crate::sys::proc::{Fork, exit, fork, wait};
use crate::sys::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode as Bits, OFlags, openat};
use rustix::io::{read, write};
use rustix::pipe::pipe;
use rustix::pty::{OpenptFlags, openpt};
use std::ffi::CString;
use std::os::unix::net::UnixListener;

#[test]
fn who_gets_the_master() {
    let (needs, superfluous) = (Rule::TerminalNeedsSocket, Rule::SocketNeedsTerminal);
    for (terminal, detach, socket, want) in [
        (false, false, false, Ok(Mode::None)),
        (false, true, false, Ok(Mode::None)),
        (true, false, false, Ok(Mode::Relay)),
        (true, true, true, Ok(Mode::Socket)),
        (true, true, false, Err(needs)),
        (true, false, true, Err(superfluous)),
        (false, true, true, Err(superfluous)),
        (false, false, true, Err(superfluous)),
    ] {
        assert_eq!(check(terminal, detach, socket), want);
    }
}

fn directory(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("ocilet-{name}.{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn sockets_of_any_length() {
    let top = directory("console");
    let long = top.join("d".repeat(120));
    std::fs::create_dir(&long).unwrap();
    // bind(2) has the same limit: from inside.
    let inside = openat(CWD, long.to_str().unwrap(), OFlags::PATH, Bits::empty()).unwrap();
    let number = rustix::fd::AsRawFd::as_raw_fd(&inside);
    let listeners = [
        UnixListener::bind(top.join("s")).unwrap(),
        UnixListener::bind(format!("/proc/self/fd/{number}/s")).unwrap(),
    ];
    let (master, _slave) = pair();
    for (dir, listener) in [&top, &long].into_iter().zip(&listeners) {
        let path = CString::new(dir.join("s").to_str().unwrap()).unwrap();
        let socket = connect(&path, Step::ConnectConsole).unwrap();
        hand_over(socket.as_fd(), master.as_fd()).unwrap();
        drop(socket);
        let (mut got, mut text) = (listener.accept().unwrap().0, String::new());
        std::io::Read::read_to_string(&mut got, &mut text).unwrap();
        assert!(!text.is_empty());
    }
    let missing = CString::new(long.join("none").to_str().unwrap()).unwrap();
    let fault = connect(&missing, Step::ConnectConsole).unwrap_err();
    assert_eq!(fault.cause(), Cause::Errno(Errno::NOENT));
    std::fs::remove_dir_all(&top).unwrap();
}

fn pair() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = OwnedFd::from(openpt(flags).unwrap());
    let slave = other_end(&master, Some((33, 77))).unwrap();
    (master, slave)
}

#[test]
fn a_terminal_has_the_size_it_was_given() {
    let (_master, slave) = pair();
    let size = rustix::termios::tcgetwinsize(&slave).unwrap();
    assert_eq!((size.ws_row, size.ws_col), (33, 77));
}

#[test]
fn only_the_multiplexer_of_a_devpts_is_one() {
    let open = |path: &str| OwnedFd::from(openat(CWD, path, OFlags::PATH, Bits::empty()).unwrap());
    assert_eq!(is_multiplexer(&open("/dev/pts/ptmx")), Ok(true));
    assert_eq!(is_multiplexer(&open("/dev/null")), Ok(false));
    assert_eq!(is_multiplexer(&open("/dev/pts")), Ok(false));
}

/// Relays in a child between two pipes and a new terminal; gives the pipes and the slave.
fn relayed(body: fn(&mut Relay, OwnedFd)) -> (rustix::process::Pid, OwnedFd, OwnedFd, OwnedFd) {
    let (their_in, our_out) = pipe().unwrap();
    let (our_in, their_out) = pipe().unwrap();
    let (master, slave) = pair();
    let (never, hold) = pipe().unwrap();
    match fork(0, None, false).unwrap() {
        Fork::Child => {
            drop((slave, our_in, our_out));
            let _ = rustix::stdio::dup2_stdin(&their_in);
            let _ = rustix::stdio::dup2_stdout(&their_out);
            drop((their_in, their_out));
            let Ok(mut relay) = Relay::start(master, true) else {
                exit(3)
            };
            body(&mut relay, never.into());
            drop(hold);
            exit(0)
        }
        Fork::Parent(pid, _) => (pid, our_in.into(), our_out.into(), slave),
    }
}

/// Reads until this many bytes are there, or the end.
fn take(fd: &OwnedFd, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while all.len() < count {
        match read(fd, &mut piece) {
            Ok(0) | Err(Errno::IO) => break,
            Ok(n) => all.extend_from_slice(&piece[..n]),
            Err(errno) => panic!("{errno}"),
        }
    }
    all
}

#[test]
fn both_ways_and_the_end_of_input() {
    let (pid, output, input, slave) = relayed(|relay, never| {
        // Ends when the terminal is closed: nothing is left to wait for but the time.
        for _ in 0..1000 {
            let time = rustix::event::Timespec {
                tv_sec: 2,
                tv_nsec: 0,
            };
            if relay.outward.ended && relay.outward.is_empty() {
                break;
            }
            let _ = relay.round(Some(never.as_fd()), Some(&time));
        }
    });
    write(&slave, b"hello\n").unwrap();
    assert_eq!(take(&output, 7), b"hello\r\n");
    write(&input, b"one\n").unwrap();
    assert_eq!(take(&slave, 4), b"one\n");
    assert_eq!(take(&output, 5), b"one\r\n", "the echo");
    // The end in the middle of a line: the line comes, then the end.
    write(&input, b"two").unwrap();
    drop(input);
    assert_eq!(take(&slave, 3), b"two");
    assert_eq!(read(&slave, &mut [0; 8]), Ok(0));
    drop(slave);
    take(&output, 100);
    assert_eq!(wait(pid).unwrap().code(), 0);
}

#[test]
fn what_is_left_comes_out_and_a_lost_reader_is_no_reason_to_stop() {
    let (pid, output, _input, slave) = relayed(|relay, _| relay.finish());
    let text = vec![b'x'; 3000];
    write(&slave, &text).unwrap();
    drop(slave);
    assert_eq!(take(&output, 3000), text);
    assert_eq!(wait(pid).unwrap().code(), 0);
}
