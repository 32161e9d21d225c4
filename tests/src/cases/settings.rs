//! The same handful as root, as an ordinary user, and as root of a user namespace that holds nothing else.

use std::cell::Cell;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::users::{User, own};
use crate::bundle::Bundle;
use crate::case::{Case, case};
use crate::harness::T;
use crate::kernel::{self, become_user, check};
use crate::runtime::{Cmd, Out, Running, json_lines, wait_for};

/// A case for each setting: `NAME_as_root`, `NAME_as_a_user`, `NAME_in_a_user_namespace`.
macro_rules! three {
    ($($run:ident: $root:ident $user:ident $nested:ident,)*) => {
        pub const CASES: &[Case] = &[$(case!($root), case!($user), case!($nested),)*];
        $(
            fn $root(t: &T) { $run(&Setting::new(t, Caller::Root)); }
            fn $user(t: &T) { $run(&Setting::new(t, Caller::User)); }
            fn $nested(t: &T) { $run(&Setting::new(t, Caller::Nested)); }
        )*
    };
}

three! {
    lifecycle: lifecycle_as_root lifecycle_as_a_user lifecycle_in_a_user_namespace,
    exit_codes: exit_codes_as_root exit_codes_as_a_user exit_codes_in_a_user_namespace,
    process: process_as_root process_as_a_user process_in_a_user_namespace,
    mounts: mounts_as_root mounts_as_a_user mounts_in_a_user_namespace,
    exec: exec_as_root exec_as_a_user exec_in_a_user_namespace,
}

/// Who calls the runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    Root,
    /// With a user namespace for the container.
    User,
    /// With a user namespace around the runtime, and none of the container's own.
    Nested,
}

const ID: u32 = 1000;

struct Setting<'t> {
    t: &'t T,
    caller: Caller,
    user: User<'t>,
    /// A process in the user namespace, which all calls join.
    holder: Option<Running>,
    container: Cell<Option<String>>,
}

/// A user namespace of this user alone, with a mount namespace.
fn enter_new_namespaces() -> std::io::Result<()> {
    become_user(ID)?;
    // SAFETY: plain numbers. Its own files in /proc are to be written.
    unsafe { check(libc::prctl(libc::PR_SET_DUMPABLE, 1)) }?;
    kernel::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
    for (file, text) in [
        (c"/proc/self/setgroups", &b"deny"[..]),
        (c"/proc/self/uid_map", b"0 1000 1"),
        (c"/proc/self/gid_map", b"0 1000 1"),
    ] {
        // SAFETY: a C string, and bytes with their length.
        unsafe {
            let fd = check(libc::open(file.as_ptr(), libc::O_WRONLY))? as i32;
            check(libc::write(fd, text.as_ptr().cast(), text.len()) as i64)?;
            libc::close(fd);
        }
    }
    Ok(())
}

impl<'t> Setting<'t> {
    fn new(t: &'t T, caller: Caller) -> Self {
        let user = User::new(t, ID);
        let holder = (caller == Caller::Nested).then(|| {
            let probe = Path::new("/proc/self/exe");
            let holder = Cmd::new(t, probe, &["probe", "echo", "held", "--", "sleep"]);
            let holder = holder.before_exec(enter_new_namespaces).spawn();
            holder.until("held");
            holder
        });
        let container = Cell::new(None);
        Self {
            t,
            caller,
            user,
            holder,
            container,
        }
    }

    /// `ocilet ARGS…` as that caller.
    fn cmd(&self, args: &[&str]) -> Cmd {
        let root = self.root().to_string_lossy();
        let args = [&["--root", &*root][..], args].concat();
        let cmd = Cmd::new(self.t, &self.user.ocilet, &args).filtered(self.t.filter.clone());
        match (self.caller, &self.holder) {
            (Caller::Root, _) => cmd,
            (_, Some(holder)) => {
                let file = |kind| CString::new(format!("/proc/{}/ns/{kind}", holder.pid()));
                let files = ["user", "mnt"].map(|kind| file(kind).unwrap());
                cmd.before_exec(move || {
                    let mut open = [0; 2];
                    for (file, fd) in files.iter().zip(&mut open) {
                        // SAFETY: a C string, and plain numbers.
                        *fd = check(unsafe { libc::open(file.as_ptr(), libc::O_CLOEXEC) })? as i32;
                    }
                    become_user(ID)?;
                    for fd in open {
                        // SAFETY: plain numbers.
                        check(unsafe { libc::setns(fd, 0) })?;
                    }
                    Ok(())
                })
            }
            _ => cmd.before_exec(|| become_user(ID)),
        }
    }

    /// Where the state of his containers is.
    fn root(&self) -> &Path {
        if self.caller == Caller::Root {
            &self.t.root
        } else {
            &self.user.root
        }
    }

    fn bundle(&self) -> Bundle<'t> {
        match self.caller {
            Caller::Root => self.t.bundle(),
            Caller::User => self.user.bundle(&self.user.single()),
            Caller::Nested => {
                let bundle = self.t.bundle();
                own(&bundle, ID);
                chown(&bundle.dir, Some(ID), Some(ID)).unwrap();
                bundle
            }
        }
    }

    fn run(&self, bundle: &Bundle<'_>) -> Out {
        bundle.write();
        let dir = bundle.dir.to_string_lossy();
        self.cmd(&["run", "--bundle", &dir, &self.t.id()]).run()
    }

    /// A created container, and where its output goes.
    fn create(&self, bundle: &Bundle<'_>) -> (String, PathBuf) {
        bundle.write();
        let (dir, id) = (bundle.dir.to_string_lossy(), self.t.id());
        let running = self.cmd(&["create", "-b", &dir, &id]).spawn();
        let out = running.out.clone();
        running.wait().ok();
        self.container.set(Some(id.clone()));
        (id, out)
    }

    fn state(&self, id: &str) -> Value {
        let text = self.cmd(&["state", id]).run().ok().stdout;
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Setting<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.container.take() {
            self.cmd(&["delete", "--force", &id]).run();
        }
        if let Some(holder) = &mut self.holder {
            let _ = holder.child.kill();
            let _ = holder.child.wait();
        }
    }
}

fn lifecycle(s: &Setting<'_>) {
    let (id, out) = s.create(&s.bundle().probe(&["echo", "up", "--", "sleep"]));
    assert_eq!(s.state(&id)["status"], "created");
    s.cmd(&["start", &id]).run().ok();
    wait_for("the program", || {
        fs::read_to_string(&out).unwrap_or_default().contains("up")
    });
    let state = s.state(&id);
    assert_eq!(state["status"], "running");
    assert_eq!(s.cmd(&["list", "-q"]).run().ok().stdout.trim(), id);
    s.cmd(&["delete", &id])
        .run()
        .fails(&["not stopped|running"]);
    s.cmd(&["kill", &id, "KILL"]).run().ok();
    let pid = i32::try_from(state["pid"].as_i64().unwrap()).unwrap();
    kernel::wait(pid, 0);
    assert_eq!(s.state(&id)["status"], "stopped");
    s.cmd(&["kill", &id, "KILL"]).run().fails(&["not running"]);
    s.cmd(&["delete", &id]).run().ok();
    s.cmd(&["state", &id]).run().fails(&["does not exist"]);
}

fn exit_codes(s: &Setting<'_>) {
    for code in [0, 7, 255] {
        let bundle = s.bundle().probe(&["exit", &code.to_string()]);
        assert_eq!(s.run(&bundle).code(), code);
    }
    let missing = s
        .bundle()
        .edit(|c| c["process"]["args"] = json!(["/nothing"]));
    s.run(&missing).fails(&["no such file or directory"]);
    let left = fs::read_dir(s.root()).unwrap().count();
    assert_eq!(left, 0, "of the state of any of them");
}

fn process(s: &Setting<'_>) {
    let bundle = s.bundle().edit(|c| {
        c["process"]["env"] = json!(["PATH=/bin", "WHERE=here"]);
        c["process"]["cwd"] = json!("/tmp");
        c["process"]["user"]["umask"] = json!(0o027);
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 777}]);
        let few = json!(["CAP_KILL", "CAP_CHOWN"]);
        for set in ["bounding", "effective", "permitted"] {
            c["process"]["capabilities"][set] = few.clone();
        }
        c["hostname"] = json!("elsewhere");
    });
    let words = [
        "report",
        "--",
        "dump",
        "/proc/self/status",
        "--",
        "dump",
        "/proc/self/limits",
    ];
    let out = s.run(&bundle.probe(&words)).ok();
    let seen = out.json();
    assert_eq!(seen["ids"]["uids"], json!([0, 0, 0]));
    assert_eq!(seen["ids"]["gids"], json!([0, 0, 0]));
    assert_eq!(seen["cwd"], "/tmp");
    assert!(
        seen["env"].to_string().contains("WHERE=here"),
        "{}",
        seen["env"]
    );
    assert_eq!(seen["nnp"], 1);
    let line = |start: &str| -> Vec<&str> {
        let line = out.stdout.lines().find(|line| line.starts_with(start));
        line.unwrap_or_default().split_whitespace().collect()
    };
    // CAP_CHOWN is 0, CAP_KILL is 5.
    for set in ["CapBnd:", "CapEff:", "CapPrm:"] {
        assert_eq!(line(set)[1], "0000000000000021", "{set}");
    }
    assert_eq!(line("Umask:")[1], "0027");
    assert_eq!(line("Max open files")[3..5], ["99", "777"]);
    assert!(
        seen["uts"].to_string().contains("elsewhere"),
        "{}",
        seen["uts"]
    );
}

fn mounts(s: &Setting<'_>) {
    let outside = s.t.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "from outside").unwrap();
    let source = outside.to_string_lossy().into_owned();
    let bundle = s
        .bundle()
        .mount("/data", "tmpfs", "tmpfs", &["size=1m", "nosuid", "noexec"])
        .mount("/bound", "none", &source, &["bind", "ro"])
        .edit(|c| {
            c["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/scsi"]);
            c["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
        });
    let words = "create /data/x -- read /bound/file -- create /bound/x -- create /proc/sys/x -- stat /proc/keys \
        -- stat /dev/null -- ls /";
    let words: Vec<&str> = words.split_whitespace().collect();
    let out = s.run(&bundle.probe(&words));
    let lines = out.lines();
    assert_eq!(lines.len(), 7, "{out:?}");
    assert_eq!(lines[0]["ok"], true, "{out:?}");
    assert!(lines[1].to_string().contains("from outside"), "{out:?}");
    assert_eq!(lines[2]["errno"], "EROFS", "{out:?}");
    assert!(
        ["EROFS", "EACCES", "ENOENT"]
            .iter()
            .any(|it| lines[3]["errno"] == *it),
        "{out:?}"
    );
    // A masked file is the null device; where the kernel has it at all.
    assert!(
        lines[4]["rdev"] == json!([1, 3]) || lines[4]["errno"] == "ENOENT",
        "{out:?}"
    );
    assert_eq!(lines[5]["rdev"], json!([1, 3]), "{out:?}");
    let names = lines[6]["names"].to_string();
    assert!(
        names.contains("data") && !names.contains("outside"),
        "{names}"
    );
}

fn exec(s: &Setting<'_>) {
    let (id, _) = s.create(&s.bundle().probe(&["sleep"]));
    s.cmd(&["start", &id]).run().ok();
    let exec = |flags: &[&str], words: &[&str]| {
        s.cmd(&[&["exec"][..], flags, &[&id, "/bin/probe"], words].concat())
            .run()
    };
    let seen = exec(&["--env", "MORE=1", "--cwd", "/tmp"], &["report"])
        .ok()
        .json();
    assert_eq!(seen["ids"]["uids"], json!([0, 0, 0]));
    assert_eq!(seen["cwd"], "/tmp");
    assert!(
        seen["env"].to_string().contains("MORE=1"),
        "{}",
        seen["env"]
    );
    let pid = s.state(&id)["pid"].as_i64().unwrap();
    for (kind, name) in [
        ("mnt", "mnt"),
        ("pid", "pid"),
        ("net", "net"),
        ("user", "user"),
    ] {
        let theirs = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(seen["ns"][name], json!(theirs), "{kind}");
    }
    assert_eq!(exec(&[], &["exit", "9"]).code(), 9);
    assert_eq!(exec(&[], &["kill-self", "15"]).code(), 128 + libc::SIGTERM);
    let missing = s.cmd(&["exec", &id, "/nothing"]).run();
    missing.fails_with(255, &["no such file or directory"]);
    let process = s.t.path("process.json");
    let text = json!({"args": ["/bin/probe", "echo", "by file"], "cwd": "/", "user": {"uid": 0, "gid": 0}});
    fs::write(&process, text.to_string()).unwrap();
    let out = s
        .cmd(&["exec", "--process", &process.to_string_lossy(), &id])
        .run()
        .ok();
    assert_eq!(out.stdout, "by file\n");
    assert!(json_lines(&out.stderr).is_empty());
}
