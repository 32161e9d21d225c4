//! Everything about the own process, as one JSON object.

use std::fs;
use std::mem;

use serde_json::{Map, Value, json};

use super::CAPABILITIES;
use crate::{kernel, witness};

const RLIMITS: &[(&str, u32)] = &[
    ("AS", libc::RLIMIT_AS),
    ("CORE", libc::RLIMIT_CORE),
    ("CPU", libc::RLIMIT_CPU),
    ("DATA", libc::RLIMIT_DATA),
    ("FSIZE", libc::RLIMIT_FSIZE),
    ("LOCKS", libc::RLIMIT_LOCKS),
    ("MEMLOCK", libc::RLIMIT_MEMLOCK),
    ("MSGQUEUE", libc::RLIMIT_MSGQUEUE),
    ("NICE", libc::RLIMIT_NICE),
    ("NOFILE", libc::RLIMIT_NOFILE),
    ("NPROC", libc::RLIMIT_NPROC),
    ("RSS", libc::RLIMIT_RSS),
    ("RTPRIO", libc::RLIMIT_RTPRIO),
    ("RTTIME", libc::RLIMIT_RTTIME),
    ("SIGPENDING", libc::RLIMIT_SIGPENDING),
    ("STACK", libc::RLIMIT_STACK),
];

fn text(path: &str) -> Value {
    match fs::read_to_string(path) {
        Ok(text) => json!(text.trim_end()),
        Err(_) => Value::Null,
    }
}

fn ids() -> Value {
    let (mut r, mut e, mut s) = (0, 0, 0);
    // SAFETY: three valid places for ids.
    unsafe { libc::getresuid(&raw mut r, &raw mut e, &raw mut s) };
    let uids = [r, e, s];
    // SAFETY: as above.
    unsafe { libc::getresgid(&raw mut r, &raw mut e, &raw mut s) };
    let gids = [r, e, s];
    let mut groups = vec![0_u32; 65_536];
    // SAFETY: the vector has room for the stated number of groups.
    let count = unsafe { libc::getgroups(65_536, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(count).unwrap_or(0));
    json!({"uids": uids, "gids": gids, "groups": groups})
}

/// Bounding and ambient by prctl, the other three by capget: no /proc needed.
fn capabilities() -> Value {
    let mut sets: Map<String, Value> = Map::new();
    let mut named = |key: &str, holds: &dyn Fn(u32) -> bool| {
        let names: Vec<&str> = (0_u32..)
            .zip(CAPABILITIES)
            .filter(|&(number, _)| holds(number))
            .map(|(_, &name)| name)
            .collect();
        sets.insert(key.to_owned(), json!(names));
    };
    // SAFETY (both): plain numbers.
    named("bounding", &|n| unsafe {
        libc::prctl(libc::PR_CAPBSET_READ, n, 0, 0, 0) == 1
    });
    named("ambient", &|n| unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, n, 0, 0) == 1
    });
    let header = [0x2008_0522_u32, 0];
    let mut data = [[0_u32; 3]; 2];
    // SAFETY: header and data have the layout of version 3.
    unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) };
    for (index, key) in ["effective", "permitted", "inheritable"].iter().enumerate() {
        let bits = u64::from(data[0][index]) | u64::from(data[1][index]) << 32;
        named(key, &|n| bits >> n & 1 == 1);
    }
    Value::Object(sets)
}

fn rlimits() -> Value {
    let mut all = Map::new();
    for &(name, number) in RLIMITS {
        let mut limit = libc::rlimit64 {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: limit is a valid place; pid 0 is this process.
        unsafe { libc::prlimit64(0, number as _, std::ptr::null(), &raw mut limit) };
        all.insert(name.to_owned(), json!([limit.rlim_cur, limit.rlim_max]));
    }
    Value::Object(all)
}

fn scheduling() -> Value {
    #[repr(C)]
    #[derive(Default)]
    struct Attr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
        util: [u32; 2],
    }
    let mut attr = Attr::default();
    let size = mem::size_of::<Attr>();
    // SAFETY: attr is as large as stated.
    unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
    // SAFETY: plain numbers; IOPRIO_WHO_PROCESS is 1.
    let io = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
    // SAFETY: plain numbers.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    let (mut mode, mut nodes) = (0_i32, [0_u64; 16]);
    // SAFETY: mode and nodes are valid places; nodes has 1024 bits.
    let result = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            nodes.as_mut_ptr(),
            1024_u64,
            0,
            0,
        )
    };
    let memory = if result == 0 {
        json!({"mode": mode, "nodes": nodes[0]})
    } else {
        Value::Null
    };
    json!({
        "policy": attr.policy, "flags": attr.flags, "nice": attr.nice, "priority": attr.priority,
        "runtime": attr.runtime, "deadline": attr.deadline, "period": attr.period,
        "ioprio": [io >> 13, io & 0x1fff], "personality": personality, "mempolicy": memory,
    })
}

fn names() -> Value {
    // SAFETY: all-zero is a valid utsname.
    let mut uts: libc::utsname = unsafe { mem::zeroed() };
    // SAFETY: uts is a valid place.
    unsafe { libc::uname(&raw mut uts) };
    let word = |bytes: &[libc::c_char]| {
        let bytes: Vec<u8> = bytes
            .iter()
            .map(|&c| c.cast_unsigned())
            .take_while(|&c| c != 0)
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    json!({"host": word(&uts.nodename), "domain": word(&uts.domainname), "machine": word(&uts.machine)})
}

fn descriptors() -> Value {
    let own: Map<String, Value> = witness::descriptors("self")
        .into_iter()
        // The directory that is being read is one of them.
        .filter(|(_, target)| !target.ends_with("/fd"))
        .map(|(number, target)| (number.to_string(), json!(target)))
        .collect();
    Value::Object(own)
}

fn keyring() -> Value {
    // SAFETY: plain numbers: KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING, not created.
    let serial = unsafe { libc::syscall(libc::SYS_keyctl, 0, -3_i64, 0) };
    let mut name = vec![0_u8; 256];
    // SAFETY: name has 256 bytes; 6 is KEYCTL_DESCRIBE.
    let got = unsafe { libc::syscall(libc::SYS_keyctl, 6, serial, name.as_mut_ptr(), 256) };
    name.truncate(usize::try_from(got).unwrap_or(0).saturating_sub(1));
    json!({"serial": serial, "description": String::from_utf8_lossy(&name)})
}

fn terminal() -> Value {
    // SAFETY: all-zero is a valid winsize.
    let mut size: libc::winsize = unsafe { mem::zeroed() };
    // SAFETY: size is a valid place; fd 0 may be anything.
    let is = unsafe { libc::ioctl(0, libc::TIOCGWINSZ, &raw mut size) } == 0;
    // SAFETY: plain number.
    let (session, process) = unsafe { (libc::getsid(0), libc::getpid()) };
    json!({
        "tty": is, "rows": size.ws_row, "columns": size.ws_col, "session": session, "pid": process,
        "controlling": fs::OpenOptions::new().read(true).open("/dev/tty").is_ok(),
    })
}

fn mounts() -> Value {
    let all = witness::mountinfo("self").unwrap_or_default();
    all.into_iter()
        .map(|m| {
            json!({"root": m.root, "target": m.target, "options": m.options, "tags": m.tags, "kind": m.kind,
                   "source": m.source, "data": m.data})
        })
        .collect()
}

fn links(dir: &str) -> Value {
    let mut all = Map::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let target = fs::read_link(entry.path()).map_or(Value::Null, |path| json!(path));
        all.insert(entry.file_name().to_string_lossy().into_owned(), target);
    }
    Value::Object(all)
}

fn signals() -> Value {
    let status = witness::status("self");
    let get = |key: &str| status.get(key).cloned();
    json!({"blocked": get("SigBlk"), "ignored": get("SigIgn")})
}

/// The report.
pub fn all() -> Value {
    // SAFETY: plain numbers; the second call puts the mask back.
    let umask = unsafe {
        let mask = libc::umask(0);
        libc::umask(mask);
        mask
    };
    // SAFETY: plain numbers.
    let (nnp, dumpable, deathsig) = unsafe {
        let mut signal = 0;
        libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal);
        (
            libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
            libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0),
            signal,
        )
    };
    let env: Vec<String> = std::env::vars_os()
        .map(|(key, value)| format!("{}={}", key.to_string_lossy(), value.to_string_lossy()))
        .collect();
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    json!({
        "ids": ids(), "caps": capabilities(), "nnp": nnp, "dumpable": dumpable, "deathsig": deathsig,
        "umask": umask, "cwd": kernel::raw_getcwd().unwrap_or_else(|error| error.to_string()),
        "fds": descriptors(), "env": env, "args": args, "rlimits": rlimits(), "sched": scheduling(),
        "oom": text("/proc/self/oom_score_adj"), "uts": names(), "mounts": mounts(),
        "ns": links("/proc/self/ns"), "cgroup": text("/proc/self/cgroup"), "keyring": keyring(),
        "terminal": terminal(), "timens": text("/proc/self/timens_offsets"), "dev": links("/dev"),
        "signals": signals(), "exe": fs::read_link("/proc/self/exe").ok(),
        "seccomp": witness::status("self").get("Seccomp"),
    })
}
