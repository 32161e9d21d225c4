//! Single actions of the probe.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{calls, say};
use crate::kernel::{self, check};

type Answer = io::Result<Value>;

fn bad(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

fn number(word: Option<&&str>, default: u64) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(default)
}

fn ok() -> Answer {
    Ok(json!({"ok": true}))
}

/// One verb with its words.
pub fn call(verb: &str, words: &[&str]) -> Answer {
    let path = words.first().copied().unwrap_or(".");
    match verb {
        "open" => open(path, words.get(1).copied().unwrap_or("r")),
        "stat" => stat(&fs::metadata(path)?),
        "lstat" => stat(&fs::symlink_metadata(path)?),
        "read" => read(path),
        "write" => {
            let mut file = fs::OpenOptions::new().write(true).open(path)?;
            file.write_all(words.get(1).copied().unwrap_or("").as_bytes())?;
            ok()
        }
        "create" => fs::File::create_new(path).and_then(|_| ok()),
        "ls" => {
            let mut names: Vec<String> = fs::read_dir(path)?
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            Ok(json!({"names": names}))
        }
        "readlink" => Ok(json!({"target": fs::read_link(path)?})),
        "mkdir" => fs::create_dir(path).and_then(|()| ok()),
        "unlink" => fs::remove_file(path).and_then(|()| ok()),
        "symlink" => symlink(path, words.get(1).copied().unwrap_or("link")).and_then(|()| ok()),
        "mknod" => mknod(path, &words[1..]),
        "mount" => mount(words),
        "access" => access(path),
        "exec" => Err(Command::new(path).args(&words[1..]).exec()),
        "echo" => {
            println!("{}", words.join(" "));
            Ok(Value::Null)
        }
        "cat" => {
            io::copy(&mut io::stdin().lock(), &mut io::stdout().lock())?;
            Ok(Value::Null)
        }
        "dump" => {
            io::copy(&mut fs::File::open(path)?, &mut io::stdout().lock())?;
            Ok(Value::Null)
        }
        "err" => {
            eprintln!("{}", words.join(" "));
            Ok(Value::Null)
        }
        "env" => Ok(json!({"value": std::env::var(path).ok()})),
        "sleep" => {
            sleep(Duration::from_millis(number(words.first(), 100_000_000)));
            Ok(Value::Null)
        }
        "count" => count(path),
        "tally" => tally(),
        "exit" => std::process::exit(number(words.first(), 0) as i32),
        "kill-self" => kill_self(number(words.first(), 9) as i32),
        "eat" => eat(number(words.first(), 1)),
        "fork-eat" => fork_eat(number(words.first(), 1)),
        "spin" => spin(number(words.first(), 100)),
        "fork" => fork(number(words.first(), 1)),
        "bomb" => bomb(),
        "huge" => huge(number(words.first(), 1)),
        "read-direct" => read_direct(path, number(words.get(1), 0)),
        "signal-wait" => signal_wait(words),
        "winch" => winch(),
        "ioctl" => ioctl(path, words),
        "lo" => lo(),
        "connect" => connect(path),
        "notify" => notify(words),
        "uptime" => Ok(clocks()),
        "fdread" => fd_read(number(words.first(), 3) as i32),
        "watch-exe" => watch_exe(number(words.first(), 1000)),
        "mq" => mq(),
        "hook" => hook(path, &words[1..]),
        "call" => calls::call(words),
        "call32" => calls::call32(words),
        "trap" => calls::trap(words),
        "thread" => calls::thread(words),
        _ => Err(bad("no such verb")),
    }
}

/// A number that only this process can know.
fn token() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos())
}

/// Counts for ever, and keeps in a file what it remembers: whether it was restored or started again shows there.
fn count(path: &str) -> Answer {
    let token = token();
    for number in 1_u64.. {
        let text = json!({"token": token.to_string(), "number": number}).to_string();
        if path == "-" {
            println!("{text}");
        } else {
            let new = format!("{path}.new");
            fs::write(&new, text)?;
            fs::rename(&new, path)?;
        }
        sleep(Duration::from_millis(10));
    }
    ok()
}

/// Counts the lines of standard input.
fn tally() -> Answer {
    let token = token();
    for (number, line) in io::stdin().lines().enumerate() {
        println!("{} is line {number} of {token}", line?);
    }
    ok()
}

fn open(path: &str, flags: &str) -> Answer {
    let mut options = fs::OpenOptions::new();
    match flags {
        "w" => options.write(true),
        "rw" => options.read(true).write(true),
        "path" => options.read(true).custom_flags(libc::O_PATH),
        _ => options.read(true),
    };
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    options.open(path).and_then(|_| ok())
}

fn stat(meta: &fs::Metadata) -> Answer {
    let kind = meta.file_type();
    let name = if kind.is_char_device() {
        "char"
    } else if kind.is_block_device() {
        "block"
    } else if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_symlink() {
        "link"
    } else if kind.is_dir() {
        "dir"
    } else {
        "file"
    };
    let device = [libc::major(meta.rdev()), libc::minor(meta.rdev())];
    Ok(json!({
        "type": name, "mode": meta.mode() & 0o7777, "uid": meta.uid(), "gid": meta.gid(), "rdev": device,
        "size": meta.size(), "ino": meta.ino(), "dev": meta.dev(), "nlink": meta.nlink(),
    }))
}

fn read(path: &str) -> Answer {
    let mut text = Vec::new();
    fs::File::open(path)?.take(65_536).read_to_end(&mut text)?;
    Ok(json!({"data": String::from_utf8_lossy(&text)}))
}

fn mknod(path: &str, words: &[&str]) -> Answer {
    let kind = match words.first().copied() {
        Some("b") => libc::S_IFBLK,
        Some("p") => libc::S_IFIFO,
        _ => libc::S_IFCHR,
    };
    let (major, minor) = (number(words.get(1), 0), number(words.get(2), 0));
    kernel::mknod(path, kind | 0o666, major as u32, minor as u32).and_then(|()| ok())
}

fn mount(words: &[&str]) -> Answer {
    let [source, target, kind, flags] = words else {
        return Err(bad("mount SOURCE TARGET TYPE FLAGS"));
    };
    let flags = flags.parse().map_err(|_| bad("flags"))?;
    kernel::mount(source, target, kind, flags, "").and_then(|()| ok())
}

/// What access(2) allows, with the effective ids.
fn access(path: &str) -> Answer {
    let text = kernel::c(path);
    let may = |mode: i32| {
        // SAFETY: a NUL-terminated string that lives until the call returns.
        unsafe { libc::faccessat(libc::AT_FDCWD, text.as_ptr(), mode, libc::AT_EACCESS) == 0 }
    };
    Ok(json!({"r": may(libc::R_OK), "w": may(libc::W_OK), "x": may(libc::X_OK)}))
}

fn kill_self(signal: i32) -> Answer {
    // Pid 1 of a pid namespace is immune to its own signals, so a default-action death needs the parent: a fault.
    // SAFETY: plain numbers.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
    sleep(Duration::from_millis(200));
    ok()
}

/// Leaves N sleeping children.
fn fork(count: u64) -> Answer {
    for _ in 0..count {
        // SAFETY: the probe has one thread here; the child only sleeps.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            loop {
                sleep(Duration::from_secs(1000));
            }
        }
        check(pid)?;
    }
    Ok(json!({"forked": count}))
}

/// Forks for ever, and so do its children.
fn bomb() -> Answer {
    loop {
        // SAFETY: the probe has one thread here; the child does the same as its parent.
        if unsafe { libc::fork() } < 0 {
            sleep(Duration::from_millis(100));
        }
    }
}

/// Keeps so many MiB of memory in use.
fn eat(size: u64) -> Answer {
    std::mem::forget(vec![1_u8; (size << 20) as usize]);
    ok()
}

/// Keeps so many huge pages of the default size in use; more than are allowed end with SIGBUS where they are not reserved.
fn huge(pages: u64) -> Answer {
    let (size, kind) = (
        2 << 20,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB,
    );
    for _ in 0..pages {
        // SAFETY: a new mapping, which nobody takes away.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size, 3, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: its first byte is writable, and ours.
        unsafe { page.cast::<u8>().write_volatile(1) };
    }
    ok()
}

/// Reads so many bytes past the page cache, and tells how long that took.
fn read_direct(path: &str, bytes: u64) -> Answer {
    const PIECE: usize = 64 << 10;
    let mut open = fs::OpenOptions::new();
    let mut file = open.read(true).custom_flags(libc::O_DIRECT).open(path)?;
    let mut buffer = vec![0_u8; 2 * PIECE];
    let start = buffer.as_ptr().align_offset(4096);
    let (began, mut read) = (Instant::now(), 0);
    while read < bytes {
        match file.read(&mut buffer[start..start + PIECE])? {
            0 => break,
            count => read += count as u64,
        }
    }
    Ok(json!({"bytes": read, "millis": began.elapsed().as_millis() as u64}))
}

/// A child that does it, and may not live to see it.
fn fork_eat(size: u64) -> Answer {
    // SAFETY: the probe has one thread here.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        let _ = eat(size);
        std::process::exit(0);
    }
    ok()
}

/// Uses the CPU for so many milliseconds.
fn spin(time: u64) -> Answer {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(time) {
        std::hint::spin_loop();
    }
    ok()
}

static SEEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn note(signal: i32) {
    SEEN.fetch_or(1 << signal, Ordering::SeqCst);
}

/// Says ready, then each caught signal by number; ends with code 7 at SIGTERM.
fn signal_wait(words: &[&str]) -> Answer {
    for signal in
        (1..32).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV].contains(signal))
    {
        // SAFETY: the handler only touches an atomic.
        unsafe { libc::signal(signal, note as *const () as libc::sighandler_t) };
    }
    say(&json!({"ready": true, "words": words}));
    loop {
        let seen = SEEN.swap(0, Ordering::SeqCst);
        for signal in (1..32).filter(|signal| seen >> signal & 1 == 1) {
            say(&json!({"signal": signal}));
            if signal == libc::SIGTERM {
                std::process::exit(7);
            }
        }
        sleep(Duration::from_millis(2));
    }
}

/// Prints the size of the terminal at once and after each SIGWINCH; ends at input `q`.
fn winch() -> Answer {
    // SAFETY: the handler only touches an atomic.
    unsafe { libc::signal(libc::SIGWINCH, note as *const () as libc::sighandler_t) };
    let print = |word: &str| {
        // SAFETY: all-zero is a valid winsize, which the call fills.
        let size = unsafe {
            let mut size: libc::winsize = std::mem::zeroed();
            libc::ioctl(0, libc::TIOCGWINSZ, &raw mut size);
            size
        };
        say(&json!({word: format!("{}x{}", size.ws_row, size.ws_col)}));
    };
    print("size");
    loop {
        if SEEN.swap(0, Ordering::SeqCst) != 0 {
            print("winch");
        }
        if let Some(bytes) = kernel::read_some(0, 64, 5).unwrap_or(None)
            && (bytes.is_empty() || bytes.contains(&b'q'))
        {
            return Ok(json!({"quit": true}));
        }
    }
}

/// `ioctl TIOCSTI BYTES` on fd 0; `ioctl TIOCLINUX`.
fn ioctl(name: &str, words: &[&str]) -> Answer {
    let byte = words.get(1).map_or(b'x', |word| word.as_bytes()[0]);
    // SAFETY: byte lives until the call returns.
    let result = unsafe {
        match name {
            "TIOCSTI" => libc::ioctl(0, libc::TIOCSTI, &raw const byte),
            "TIOCLINUX" => {
                let code = 2_u8;
                libc::ioctl(0, libc::TIOCLINUX, &raw const code)
            }
            _ => return Err(bad("no such ioctl")),
        }
    };
    check(result).and_then(|_| ok())
}

/// Is the loopback interface up, and can it be talked over?
fn lo() -> Answer {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l'.cast_signed();
    request.ifr_name[1] = b'o'.cast_signed();
    // SAFETY: request is a valid ifreq; the kernel fills the flags.
    let flags = unsafe {
        check(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS,
            &raw mut request,
        ))?;
        request.ifr_ifru.ifru_flags
    };
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let sent = socket.send_to(b"x", socket.local_addr()?);
    let got = socket.recv(&mut [0; 4]);
    let names: Vec<String> = fs::read_to_string("/proc/net/dev")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect();
    Ok(json!({
        "up": i32::from(flags) & libc::IFF_UP != 0, "sent": sent.is_ok(), "got": got.is_ok(), "names": names,
    }))
}

fn connect(path: &str) -> Answer {
    std::os::unix::net::UnixStream::connect(path).and_then(|_| ok())
}

/// Sends words to $NOTIFY_SOCKET, a datagram each, `+` in them being a new line.
fn notify(words: &[&str]) -> Answer {
    let path = std::env::var("NOTIFY_SOCKET").map_err(|_| bad("no NOTIFY_SOCKET"))?;
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    for word in words {
        socket.send_to(word.replace('+', "\n").as_bytes(), &path)?;
    }
    ok()
}

fn clocks() -> Value {
    let seconds = |clock| {
        // SAFETY: all-zero is a valid timespec, which the call fills.
        unsafe {
            let mut time: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(clock, &raw mut time);
            time.tv_sec
        }
    };
    json!({"monotonic": seconds(libc::CLOCK_MONOTONIC), "boottime": seconds(libc::CLOCK_BOOTTIME)})
}

fn fd_read(fd: i32) -> Answer {
    let bytes = kernel::read_some(fd, 4096, 1000)?.unwrap_or_default();
    Ok(json!({"data": String::from_utf8_lossy(&bytes)}))
}

/// Looks at `/proc/*/exe` of everyone else for some milliseconds: which (device, inode) pairs, could any be written?
fn watch_exe(millis: u64) -> Answer {
    let end = Instant::now() + Duration::from_millis(millis);
    let mut seen = std::collections::BTreeSet::new();
    let mut writable = 0;
    while Instant::now() < end {
        for entry in fs::read_dir("/proc")?.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let path = format!("/proc/{pid}/exe");
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            seen.insert((meta.dev(), meta.ino()));
            if pid != std::process::id() && fs::OpenOptions::new().write(true).open(&path).is_ok() {
                writable += 1;
            }
        }
    }
    Ok(json!({"seen": seen, "writable": writable}))
}

/// A POSIX message queue of the own ipc namespace.
fn mq() -> Answer {
    let name = kernel::c("probe");
    // SAFETY: a NUL-terminated name; default attributes.
    check(unsafe {
        libc::syscall(
            libc::SYS_mq_open,
            name.as_ptr(),
            libc::O_CREAT | libc::O_RDWR,
            0o600,
            std::ptr::null::<u8>(),
        )
    })?;
    ok()
}

/// As a hook: adds a line to a file, with what it was told and what it sees.
fn hook(path: &str, words: &[&str]) -> Answer {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let state: Value = serde_json::from_str(&input).unwrap_or(Value::Null);
    let env: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    let mut fds: Vec<u64> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    fds.sort_unstable();
    // The last one is that of the directory.
    fds.pop();
    let line = json!({
        "words": words, "state": state, "env": env, "cwd": std::env::current_dir()?, "fds": fds,
        "mount": fs::read_link("/proc/self/ns/mnt").ok(), "pid": fs::read_link("/proc/self/ns/pid").ok(),
        "network": fs::read_link("/proc/self/ns/net").ok(), "argv0": std::env::args().next(),
        // SAFETY: a number for a number.
        "group": unsafe { libc::getpgrp() == libc::getpid() },
    });
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    writeln!(file, "{line}")?;
    Ok(Value::Null)
}
