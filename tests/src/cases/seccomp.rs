//! `linux.seccomp`: each action by its effect, both halves of arguments, the other ABIs of the machine, real profiles.

use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel::{self, check};
use crate::runtime::{Out, wait_for};

pub const CASES: &[Case] = &[
    case!(errno_and_its_default),
    case!(killed),
    case!(default_actions),
    case!(architectures_of_other_machines),
    case!(killed_thread),
    case!(trapped),
    case!(logged),
    case!(traced),
    case!(arguments_count_in_all_bits),
    case!(alternatives_and_conditions),
    case!(newer_calls_are_enosys),
    case!(calls_of_32_bits),
    case!(calls_of_x32),
    case!(unlisted_architectures_are_killed),
    case!(unknown_names_are_left_out),
    case!(flags),
    case!(without_no_new_privileges),
    case!(nothing_else_is_needed),
    case!(create_and_start),
    case!(real_profiles),
    case!(terminal_injection),
    case!(notify),
    case!(notify_on_start),
    case!(notify_without_anybody),
    case!(wrong_profiles),
    case!(built_in),
    case!(foreground_confines_itself),
];

/// A bundle with a filter, whose probe does as told.
fn filtered<'t>(t: &'t T, seccomp: Value, words: &[&str]) -> Bundle<'t> {
    t.facts
        .need_path("/proc/sys/kernel/seccomp/actions_avail", "seccomp filters");
    t.bundle()
        .edit(|c| c["linux"]["seccomp"] = seccomp)
        .probe(words)
}

/// Everything is allowed but `names`.
fn deny(names: &[&str], action: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": names, "action": action}],
    })
}

fn codes(out: &Out) -> Vec<i64> {
    let code = |line: &Value| line["code"].as_i64().unwrap_or(0);
    out.lines().iter().map(code).collect()
}

/// Numbers in this file are those of x86_64.
fn need_x86_64() {
    if !cfg!(target_arch = "x86_64") {
        cannot("numbers of x86_64");
    }
}

const MKDIR: &str = "mkdir /tmp/x";

fn words(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

fn errno_and_its_default(t: &T) {
    let mut profile = deny(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO");
    let out = filtered(t, profile.clone(), &words(MKDIR)).run();
    assert_eq!(codes(&out), [1]);
    profile["syscalls"][0]["errnoRet"] = json!(77);
    assert_eq!(
        codes(&filtered(t, profile.clone(), &words(MKDIR)).run()),
        [77]
    );
    profile["syscalls"][0]["errnoRet"] = json!(0);
    // Success that has made nothing.
    let out = filtered(t, profile, &words("mkdir /tmp/x -- stat /tmp/x")).run();
    assert_eq!(codes(&out), [0, 2]);
    // The default action has a number of its own.
    let mut allowed = allow_all_but(&["mkdir", "mkdirat"]);
    allowed["defaultErrnoRet"] = json!(88);
    assert_eq!(codes(&filtered(t, allowed, &words(MKDIR)).run()), [88]);
}

/// What Moby allows, less a few; the default action is to refuse.
fn allow_all_but(names: &[&str]) -> Value {
    let mut profile = corpus("docker-config-02.json");
    for rule in profile["syscalls"].as_array_mut().expect("rules") {
        let list = rule["names"].as_array_mut().expect("names");
        list.retain(|name| !names.contains(&name.as_str().unwrap_or("")));
    }
    let rules = profile["syscalls"].as_array_mut().expect("rules");
    rules.retain(|rule| rule["names"] != json!([]));
    profile
}

fn corpus(name: &str) -> Value {
    let text: &[u8] = match name {
        "docker-config-02.json" => include_bytes!("../../corpus/docker-config-02.json"),
        "podman-config-01.json" => include_bytes!("../../corpus/podman-config-01.json"),
        _ => include_bytes!("../../corpus/containerd-config-01.json"),
    };
    let mut config: Value = serde_json::from_slice(text).expect("JSON");
    config["linux"]["seccomp"].take()
}

fn killed(t: &T) {
    for action in [
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_TRAP",
    ] {
        let out = filtered(t, deny(&["mkdir", "mkdirat"], action), &words(MKDIR)).run();
        assert_eq!(out.code(), 128 + libc::SIGSYS, "{action}");
    }
}

/// A default action by what becomes of a call that no rule names.
fn default_actions(t: &T) {
    for (action, code) in [
        ("SCMP_ACT_KILL", 128 + libc::SIGSYS),
        ("SCMP_ACT_KILL_THREAD", 128 + libc::SIGSYS),
        ("SCMP_ACT_KILL_PROCESS", 128 + libc::SIGSYS),
        ("SCMP_ACT_TRAP", 128 + libc::SIGSYS),
        ("SCMP_ACT_TRACE", 1),
        ("SCMP_ACT_LOG", 0),
    ] {
        let mut profile = allow_all_but(&["mkdir", "mkdirat"]);
        profile["defaultAction"] = json!(action);
        profile
            .as_object_mut()
            .expect("a profile")
            .remove("defaultErrnoRet");
        let out = filtered(t, profile, &words(MKDIR)).run();
        assert_eq!(out.code(), code, "{action}: {out:?}");
        if action == "SCMP_ACT_TRACE" {
            // Nobody traces it.
            assert_eq!(codes(&out), [i64::from(libc::ENOSYS)]);
        }
    }
}

/// Those of other machines change nothing here.
fn architectures_of_other_machines(t: &T) {
    const OTHERS: &str = "ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X \
        PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB";
    let own = if cfg!(target_arch = "x86_64") {
        "X86_64"
    } else {
        "AARCH64"
    };
    let mut profile = deny(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO");
    let names = std::iter::once(own).chain(words(OTHERS).into_iter().filter(|name| *name != own));
    let names: Vec<String> = names.map(|name| format!("SCMP_ARCH_{name}")).collect();
    profile["architectures"] = json!(names);
    profile["syscalls"][0]["errnoRet"] = json!(77);
    let out = filtered(t, profile.clone(), &words(MKDIR)).run();
    assert_eq!(codes(&out), [77]);
    if cfg!(target_arch = "x86_64") {
        let out = filtered(t, profile, &words("call 0x40000027")).run();
        assert_eq!(out.code(), 128 + libc::SIGSYS, "x32 is not among them");
    }
}

fn killed_thread(t: &T) {
    need_x86_64();
    let thread = deny(&["mkdir"], "SCMP_ACT_KILL_THREAD");
    let out = filtered(t, thread, &words("thread 83 -- echo alive")).run();
    assert_eq!((out.code(), out.json()["back"].as_i64()), (0, Some(0)));
    assert!(out.stdout.contains("alive"));
    let process = deny(&["mkdir"], "SCMP_ACT_KILL_PROCESS");
    let out = filtered(t, process, &words("thread 83 -- echo alive")).run();
    assert_eq!(out.code(), 128 + libc::SIGSYS);
}

fn trapped(t: &T) {
    need_x86_64();
    let out = filtered(t, deny(&["mkdir"], "SCMP_ACT_TRAP"), &words("trap 83"))
        .run()
        .ok();
    assert_eq!(out.json(), json!({"trapped": 83, "arch": 0xc000_003e_u32}));
}

fn logged(t: &T) {
    let out = filtered(
        t,
        deny(&["mkdir", "mkdirat"], "SCMP_ACT_LOG"),
        &words(MKDIR),
    )
    .run()
    .ok();
    assert_eq!(out.json(), json!({"ok": true}));
}

/// Without a tracer ENOSYS; with one, it is told the number and has its way.
fn traced(t: &T) {
    need_x86_64();
    let mut profile = deny(&["mkdir"], "SCMP_ACT_TRACE");
    profile["syscalls"][0]["errnoRet"] = json!(99);
    let out = filtered(t, profile.clone(), &words(MKDIR)).run();
    assert_eq!(codes(&out), [i64::from(libc::ENOSYS)]);
    let container = filtered(t, profile, &words("sleep 100 -- mkdir /tmp/x")).create();
    let pid = container.pid();
    container.start();
    let options = libc::PTRACE_O_TRACESECCOMP;
    // SAFETY: numbers alone.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, options) }).expect("ptrace");
    let status = kernel::wait(pid, libc::__WALL).expect("an event");
    assert_eq!(
        status >> 8,
        libc::SIGTRAP | (libc::PTRACE_EVENT_SECCOMP << 8)
    );
    // SAFETY: all-zero registers are registers; the kernel fills them, and takes them back.
    unsafe {
        let mut message = 0_u64;
        libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut message);
        assert_eq!(message, 99);
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut registers);
        assert_eq!(registers.orig_rax, 83);
        registers.orig_rax = u64::MAX;
        registers.rax = (-i64::from(libc::EXDEV)).cast_unsigned();
        libc::ptrace(libc::PTRACE_SETREGS, pid, 0, &raw const registers);
        libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
    }
    container.until("EXDEV");
}

/// A deny list that takes 32 bits where the kernel does; an exact one is exact.
fn arguments_count_in_all_bits(t: &T) {
    need_x86_64();
    // sched_yield, which looks at no argument.
    let rule = |op: &str, value: u64, two: u64, errno: u32| {
        json!({"names": ["sched_yield"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno,
               "args": [{"index": 1, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}")}]})
    };
    let calls = "call 24 0 5 -- call 24 0 0x100000005 -- call 24 0 0x100000006 -- call 24 0 0xffffffffffffffff";
    for (op, value, two, wanted) in [
        ("EQ", 5_u64, 0, [77, 0, 0, 0]),
        ("NE", 5, 0, [0, 77, 77, 77]),
        ("EQ", 0x1_0000_0005, 0, [0, 77, 0, 0]),
        ("MASKED_EQ", 0xffff_ffff, 5, [77, 77, 0, 0]),
        ("GT", 0x1_0000_0005, 0, [0, 0, 77, 77]),
        ("GE", 0x1_0000_0005, 0, [0, 77, 77, 77]),
        ("LT", 0x1_0000_0005, 0, [77, 0, 0, 0]),
        ("LE", 0x1_0000_0005, 0, [77, 77, 0, 0]),
    ] {
        let mut profile = deny(&["sched_yield"], "SCMP_ACT_ERRNO");
        profile["syscalls"] = json!([rule(op, value, two, 77)]);
        let out = filtered(t, profile, &words(calls)).run();
        assert_eq!(codes(&out), wanted, "{op} {value:#x}");
    }
}

fn alternatives_and_conditions(t: &T) {
    need_x86_64();
    let arg = |index: u32, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    let profile = |args: Value| {
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["sched_yield"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77, "args": args}]})
    };
    let calls = words("call 24 1 2 -- call 24 1 3 -- call 24 2 2 -- call 24 3 3");
    let both = filtered(t, profile(json!([arg(0, 1), arg(1, 2)])), &calls).run();
    assert_eq!(codes(&both), [77, 0, 0, 0]);
    let any = filtered(t, profile(json!([arg(0, 1), arg(0, 2)])), &calls).run();
    assert_eq!(codes(&any), [77, 77, 77, 0]);
}

/// glibc starts a thread with clone3, and falls back on clone if that is ENOSYS.
fn newer_calls_are_enosys(t: &T) {
    need_x86_64();
    let out = filtered(
        t,
        corpus("docker-config-02.json"),
        &words("thread 39 -- call 435 0 0 -- call 700 -- call 250"),
    );
    let out = out.edit(unprivileged).run();
    assert_eq!(out.json()["back"], 1, "{out:?}");
    let (enosys, eperm) = (i64::from(libc::ENOSYS), i64::from(libc::EPERM));
    assert_eq!(codes(&out), [0, enosys, enosys, eperm]);
}

fn unprivileged(c: &mut Value) {
    c["process"]["capabilities"] = json!({});
}

/// Whether the number is that of getpid, and the answer that of a container's init: user-mode Linux takes the instruction
/// for one of 64 bits.
fn has_32_bits(t: &T) -> bool {
    let out = t.bundle().probe(&words("call32 20")).run();
    out.code() == 0 && out.json()["result"] == 1
}

fn calls_of_32_bits(t: &T) {
    need_x86_64();
    if !has_32_bits(t) {
        cannot("this kernel has no 32-bit calls");
    }
    let mut profile = deny(&["mkdir", "socket"], "SCMP_ACT_ERRNO");
    profile["syscalls"][0]["errnoRet"] = json!(77);
    // getpid, mkdir, socket, and socket inside of socketcall.
    let calls =
        "call32 20 -- call32 39 0 0 -- call32 359 2 1 0 -- call32 102 1 0 -- call32 102 2 0";
    let out = filtered(t, profile, &words(calls)).run();
    assert_eq!(codes(&out), [0, 77, 77, 77, i64::from(libc::EFAULT)]);
}

fn calls_of_x32(t: &T) {
    need_x86_64();
    let mut profile = deny(&["mkdir", "execve"], "SCMP_ACT_ERRNO");
    profile["syscalls"][0]["errnoRet"] = json!(77);
    profile["syscalls"][0]["names"] = json!(["mkdir", "readv"]);
    // 83 and, with a number of its own, readv; getpid is not denied, and there or not.
    let calls = "call 0x40000053 0 0 -- call 0x40000203 -1 -- call 0x40000027";
    let calls = calls.replace("-1", "0xffffffff");
    let out = filtered(t, profile, &words(&calls)).run();
    let got = codes(&out);
    assert_eq!(got[..2], [77, 77]);
    assert_ne!(got[2], 77);
}

fn unlisted_architectures_are_killed(t: &T) {
    need_x86_64();
    let mut profile = deny(&["mkdir"], "SCMP_ACT_ERRNO");
    profile["architectures"] = json!(["SCMP_ARCH_X86_64"]);
    let out = filtered(t, profile.clone(), &words("call 0x40000027")).run();
    assert_eq!(out.code(), 128 + libc::SIGSYS, "x32");
    if has_32_bits(t) {
        let out = filtered(t, profile, &words("call32 20")).run();
        assert_eq!(out.code(), 128 + libc::SIGSYS, "x86");
    }
}

fn unknown_names_are_left_out(t: &T) {
    if t.foreign() {
        return;
    }
    let mut profile = deny(&["mkdir", "no_such_call", "mkdirat"], "SCMP_ACT_ERRNO");
    profile["syscalls"][0]["errnoRet"] = json!(77);
    let bundle = filtered(t, profile, &words(MKDIR));
    let out = bundle.run();
    assert_eq!(codes(&out), [77]);
    assert!(!out.stderr.contains("no_such_call"));
    bundle.write();
    let (id, dir) = (t.id(), bundle.dir.to_string_lossy().into_owned());
    let out = t.cmd(&["--debug", "run", "--bundle", &dir, &id]).run();
    assert!(out.stderr.contains("\"no_such_call\""), "{}", out.stderr);
}

fn flags(t: &T) {
    for flags in [
        json!([]),
        json!([
            "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_LOG"
        ]),
        json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]),
    ] {
        if t.foreign() && flags != json!([]) {
            continue;
        }
        let mut profile = deny(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO");
        profile["flags"] = flags;
        assert_eq!(codes(&filtered(t, profile, &words(MKDIR)).run()), [1]);
    }
}

/// CAP_SYS_ADMIN is there to load the filter, and is gone when the program starts.
fn without_no_new_privileges(t: &T) {
    for (uid, capabilities) in [
        (0, json!({})),
        (1000, json!({})),
        (1000, Value::Null),
        (
            1000,
            json!({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
                      "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}),
        ),
    ] {
        let plain = t.bundle();
        let edit = |c: &mut Value| {
            c["process"]["noNewPrivileges"] = json!(false);
            c["process"]["user"] = json!({"uid": uid, "gid": uid});
            c["process"]["capabilities"] = capabilities.clone();
            if capabilities.is_null() {
                c["process"]
                    .as_object_mut()
                    .expect("process")
                    .remove("capabilities");
            }
        };
        let without = plain.edit(edit).run().ok().json();
        let with = filtered(t, corpus("docker-config-02.json"), &["report"])
            .edit(edit)
            .run()
            .ok()
            .json();
        assert_eq!(with["seccomp"], "2");
        assert_eq!(with["caps"], without["caps"], "{uid} {capabilities}");
        assert_eq!(with["ids"], without["ids"]);
        assert!(with["caps"].is_object(), "{with}");
    }
}

/// The program gets a filter that knows hardly more than what the program itself calls: nothing of ours needs to be in
/// it but execve, and without no_new_privs capset.
fn nothing_else_is_needed(t: &T) {
    need_x86_64();
    if t.foreign() {
        cannot("others need more");
    }
    // What runtimes do late, except what the probe does itself.
    const LATE: &str = "close_range fcntl sendmsg sendto recvmsg setresuid setresgid setgroups prctl chdir getcwd \
        mount umount2 accept4 keyctl dup getpid";
    for (privileges, more) in [(true, Some("capset")), (false, None)] {
        let mut names = words(LATE);
        names.extend(more);
        let bundle = filtered(t, deny(&names, "SCMP_ACT_KILL_PROCESS"), &["echo", "alive"]);
        let bundle = bundle.edit(|c| c["process"]["noNewPrivileges"] = json!(privileges));
        let out = bundle.run();
        assert_eq!(out.code(), 0, "{out:?}");
        assert!(out.stdout.contains("alive"));
        let container = bundle.create();
        container.start_out().ok();
    }
}

fn create_and_start(t: &T) {
    let container = filtered(
        t,
        deny(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO"),
        &words(MKDIR),
    )
    .create();
    assert_eq!(container.status(), "created");
    container.start();
    container.until("EPERM");
    assert_eq!(container.wait(), 1);
}

fn real_profiles(t: &T) {
    crate::coverage::record::whole_documents();
    need_x86_64();
    // unshare(CLONE_NEWNS), mount, swapon, keyctl, socket(AF_INET), getpid, bpf.
    let calls = "call 272 0x20000 -- call 165 0 0 0 0 0 -- call 167 0 -- call 250 0 -- call 41 2 1 0 -- call 39 -- call 321";
    let (eperm, enosys) = (i64::from(libc::EPERM), i64::from(libc::ENOSYS));
    for (name, wanted) in [
        (
            "docker-config-02.json",
            [eperm, eperm, eperm, eperm, 0, 0, eperm],
        ),
        (
            "containerd-config-01.json",
            [eperm, eperm, eperm, eperm, 0, 0, eperm],
        ),
    ] {
        let out = filtered(t, corpus(name), &words(calls))
            .edit(unprivileged)
            .run();
        assert_eq!(codes(&out), wanted, "{name}");
    }
    // Podman's refuses with ENOSYS what it does not know, and by name with EPERM what it does.
    let out = filtered(
        t,
        corpus("podman-config-01.json"),
        &words("call 167 0 -- call 999 -- call 321 -- call 41 16 3 9 -- call 41 16 3 0"),
    );
    let out = out.edit(unprivileged).run();
    assert_eq!(codes(&out)[..3], [eperm, enosys, eperm]);
    // A netlink socket, for audit without CAP_AUDIT_WRITE or not.
    assert_eq!(codes(&out)[4], 0);
}

/// TIOCSTI, also with a bit set that the kernel does not look at.
fn terminal_injection(t: &T) {
    need_x86_64();
    let mut profile = deny(&["ioctl"], "SCMP_ACT_ERRNO");
    profile["syscalls"][0]["errnoRet"] = json!(77);
    profile["syscalls"][0]["args"] = json!([{"index": 1, "value": 0xffff_ffff_u32, "valueTwo": 0x5412, "op": "SCMP_CMP_MASKED_EQ"}]);
    let calls = "call 16 0 0x5412 0 -- call 16 0 0x100005412 0 -- call 16 0 0x5413 0";
    let got = codes(&filtered(t, profile, &words(calls)).run());
    assert_eq!(got[..2], [77, 77]);
    assert_ne!(got[2], 77);
}

/// `struct seccomp_notif` and `struct seccomp_notif_resp`, linux/seccomp.h.
#[repr(C)]
#[derive(Default)]
struct Notice {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction: u64,
    args: [u64; 6],
}

#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;

/// The state and the descriptor that come over the socket; then the connection ends.
fn receive(stream: &UnixStream) -> (Value, OwnedFd) {
    let mut text = vec![0_u8; 65_536];
    let mut control = [0_u64; 8];
    let mut piece = libc::iovec {
        iov_base: text.as_mut_ptr().cast(),
        iov_len: text.len(),
    };
    // SAFETY: an all-zero msghdr is one; all that it points to lives until the end of the function.
    let (length, fd) = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let length = check(libc::recvmsg(stream.as_raw_fd(), &raw mut message, 0) as i64);
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        assert!(!head.is_null(), "no descriptor came");
        let fd = libc::CMSG_DATA(head).cast::<i32>().read_unaligned();
        (length.expect("a message"), OwnedFd::from_raw_fd(fd))
    };
    text.truncate(usize::try_from(length).expect("positive"));
    (
        serde_json::from_slice(&text).expect("JSON in one message"),
        fd,
    )
}

/// Answers one call: with an error.
fn answer(listener: &OwnedFd, number: i32, error: i32) {
    let mut notice = Notice::default();
    assert!(
        kernel::readable(listener.as_raw_fd(), 5000).expect("poll"),
        "no call came"
    );
    // SAFETY: a place for the notice.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notice) }).expect("a call");
    assert_eq!(notice.number, number);
    let answer = Answer {
        id: notice.id,
        value: 0,
        error: -error,
        flags: 0,
    };
    // SAFETY: an answer.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const answer) }).expect("answered");
}

/// A profile that asks for mkdir, and the socket that it names.
fn asking(t: &T) -> (Value, UnixListener) {
    need_x86_64();
    t.facts.need_kernel(5, 6, "pidfd_getfd");
    let path = t.path("listener");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("tmpfs");
    let mut profile = deny(&["mkdir"], "SCMP_ACT_NOTIFY");
    profile["listenerPath"] = json!(path);
    profile["listenerMetadata"] = json!("me\"ta\u{e4}");
    (profile, listener)
}

fn check_state(state: &Value, id: &str, bundle: &Path, pid: u64) {
    crate::coverage::record::document("seccomp", &state.to_string());
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "me\"ta\u{e4}");
    assert_eq!(
        (&state["state"]["id"], &state["pid"]),
        (&json!(id), &json!(pid))
    );
    assert_eq!(state["state"]["pid"], state["pid"]);
    assert_eq!(state["state"]["bundle"], json!(bundle));
    assert!(state["ociVersion"].is_string() && state["state"]["ociVersion"].is_string());
    assert!(state["state"]["status"].is_string());
    assert_eq!(state["state"]["annotations"], json!({"a": "b"}));
}

fn notify(t: &T) {
    for privileges in [true, false] {
        let (profile, listener) = asking(t);
        let bundle = filtered(t, profile, &words("mkdir /tmp/x -- exit 5")).edit(|c| {
            c["annotations"] = json!({"a": "b"});
            c["process"]["noNewPrivileges"] = json!(privileges);
        });
        let (id, cmd) = bundle.run_cmd(&[]);
        let running = cmd.spawn();
        let stream = listener.accept().expect("a connection").0;
        let (state, fd) = receive(&stream);
        let pid = state["pid"].as_u64().expect("a pid");
        check_state(&state, &id, &bundle.dir, pid);
        // Nothing more comes, and the connection ends.
        assert_eq!(
            std::io::Read::read(&mut &stream, &mut [0; 8]).expect("the end"),
            0
        );
        answer(&fd, 83, libc::EXDEV);
        let out = running.wait();
        assert_eq!((out.code(), codes(&out)), (5, vec![i64::from(libc::EXDEV)]));
    }
}

fn notify_on_start(t: &T) {
    let (profile, listener) = asking(t);
    let bundle = filtered(
        t,
        profile,
        &words("readlink /proc/self/fd/3 -- mkdir /tmp/x"),
    );
    let bundle = bundle.edit(|c| c["annotations"] = json!({"a": "b"}));
    let container = bundle.create();
    let agent = std::thread::spawn(move || receive(&listener.accept().expect("a connection").0));
    container.start();
    let (state, fd) = agent.join().expect("a state");
    check_state(
        &state,
        &container.id,
        &bundle.dir,
        container.pid().unsigned_abs().into(),
    );
    answer(&fd, 83, libc::ETXTBSY);
    container.until("ETXTBSY");
    // The program does not have the listener itself.
    assert_eq!(container.lines()[0]["errno"], "ENOENT");
}

fn notify_without_anybody(t: &T) {
    need_x86_64();
    if t.foreign() {
        return;
    }
    let mut profile = deny(&["mkdir"], "SCMP_ACT_NOTIFY");
    filtered(t, profile.clone(), &["report"]).create_fails(&["listenerPath"]);
    profile["listenerPath"] = json!(t.path("nobody"));
    filtered(t, profile.clone(), &["report"])
        .run()
        .fails(&["no such file"]);
    let container = filtered(t, profile.clone(), &["report"]).create();
    container.start_out().fails(&["no such file"]);
    // It still waits, and can be started when somebody listens.
    assert_eq!(container.status(), "created");
    drop(container);
    // The path is of no use where nothing notifies.
    profile["syscalls"][0]["action"] = json!("SCMP_ACT_ERRNO");
    assert_eq!(codes(&filtered(t, profile, &words(MKDIR)).run()), [1]);
}

fn wrong_profiles(t: &T) {
    if t.foreign() {
        return;
    }
    let with = |edit: &dyn Fn(&mut Value), words: &[&str]| {
        let mut profile = deny(&["mkdir"], "SCMP_ACT_ERRNO");
        edit(&mut profile);
        filtered(t, profile, &["report"]).create_fails(words);
    };
    with(
        &|p| p["syscalls"][0]["errnoRet"] = json!(4096),
        &["syscalls[0]", "4095"],
    );
    with(&|p| p["defaultErrnoRet"] = json!(1), &["defaultErrnoRet"]);
    with(
        &|p| p["defaultAction"] = json!("SCMP_ACT_NOTIFY"),
        &["NOTIFY"],
    );
    with(
        &|p| p["syscalls"][0]["action"] = json!("SCMP_ACT_MAYBE"),
        &["SCMP_ACT_"],
    );
    let many: Vec<Value> = (0..1500)
        .map(|n| {
            json!({"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
                   "args": [{"index": 1, "value": n * 5 + (1_u64 << 40), "op": "SCMP_CMP_GT"}]})
        })
        .collect();
    with(
        &move |p| p["syscalls"] = json!(many),
        &["SECCOMP_INSTRUCTIONS|4096|4,096"],
    );
}

/// `--seccomp-default`, or the annotation.
fn built_in(t: &T) {
    need_x86_64();
    if t.foreign() {
        return;
    }
    // AF_ALG and AF_VSOCK, with and without high bits; AF_UNIX; unshare; clone3; an unknown call; mount.
    let calls = "call 41 38 5 0 -- call 41 40 1 0 -- call 41 0x100000028 1 0 -- call 41 1 1 0 -- call 272 0x20000 \
        -- call 435 0 0 -- call 999 -- call 165 0 0 0 0 0";
    let (eperm, enosys) = (i64::from(libc::EPERM), i64::from(libc::ENOSYS));
    let wanted = [eperm, eperm, eperm, 0, eperm, enosys, enosys, eperm];
    let bundle = filtered(t, Value::Null, &words(calls)).edit(unprivileged);
    let out = bundle.run_with(&["--seccomp-default"]);
    assert_eq!(codes(&out), wanted);
    assert_ne!(codes(&bundle.run())[0], eperm, "not unless it is asked for");
    let bundle = bundle.edit(|c| c["annotations"] = json!({"run.ocilet.seccomp": "default"}));
    assert_eq!(codes(&bundle.run()), wanted);
    // With the capability: EFAULT of mount.
    let privileged = filtered(t, Value::Null, &words("call 165 0 0 0 0 0"));
    let out = privileged.run_with(&["--seccomp-default"]);
    assert_ne!(codes(&out), [eperm]);
    // A profile of the bundle's own is the one that counts.
    let own = filtered(
        t,
        deny(&["mkdir", "mkdirat"], "SCMP_ACT_LOG"),
        &words("mkdir /tmp/x -- call 41 40 1 0"),
    );
    assert_ne!(codes(&own.run_with(&["--seccomp-default"]))[1], eperm);
    t.bundle()
        .edit(|c| c["annotations"] = json!({"run.ocilet.seccomp": "mine"}))
        .create_fails(&["run.ocilet.seccomp", "default"]);
}

/// What stays on the host has a filter of its own, and still does its work.
fn foreground_confines_itself(t: &T) {
    if t.foreign() {
        return;
    }
    t.facts
        .need_path("/proc/sys/kernel/seccomp/actions_avail", "seccomp filters");
    let (_, cmd) = t.bundle().probe(&["signal-wait"]).run_cmd(&[]);
    let running = cmd.spawn();
    running.until("ready");
    let status = format!("/proc/{}/status", running.pid());
    wait_for("the filter of the foreground", || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2")
    });
    kernel::kill(running.pid(), libc::SIGTERM).expect("alive");
    assert_eq!(running.wait().code(), 7);
}
