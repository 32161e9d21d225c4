//! The probe: what a process in a container sees and may do, one JSON line per verb.
//!
//! `probe VERB ARGS… [-- VERB ARGS…]…`. A verb that the kernel refuses prints `{"errno": …}` and the next one goes on.

mod calls;
mod report;
mod verbs;

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

/// Capability names by number, without the prefix.
pub const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Prints one line; a closed stdout is no error of the probe.
fn say(value: &Value) {
    let mut out = io::stdout().lock();
    // In one piece: who reads meanwhile sees the whole line or nothing of it.
    let _ = out.write_all(format!("{value}\n").as_bytes());
    let _ = out.flush();
}

/// The error of a verb as JSON.
fn errno(error: &io::Error) -> Value {
    let code = error.raw_os_error().unwrap_or(0);
    let name = match code {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::EIO => "EIO",
        libc::ENXIO => "ENXIO",
        libc::EBADF => "EBADF",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::EINVAL => "EINVAL",
        libc::ENOTTY => "ENOTTY",
        libc::ETXTBSY => "ETXTBSY",
        libc::EROFS => "EROFS",
        libc::ELOOP => "ELOOP",
        libc::ENOSYS => "ENOSYS",
        libc::ENOSPC => "ENOSPC",
        libc::EXDEV => "EXDEV",
        _ => "other",
    };
    json!({"errno": name, "code": code})
}

pub fn main(args: &[String]) -> ExitCode {
    let mut code = 0;
    for words in args.split(|word| word == "--") {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (verb, rest) = match words.split_first() {
            Some((&verb, rest)) => (verb, rest),
            None => ("report", &[][..]),
        };
        let result = if verb == "report" {
            Ok(report::all())
        } else {
            verbs::call(verb, rest)
        };
        match result {
            Ok(Value::Null) => {}
            Ok(value) => say(&value),
            Err(error) => {
                say(&errno(&error));
                code = 1;
            }
        }
    }
    ExitCode::from(code)
}
