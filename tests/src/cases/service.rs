//! A service manager around the container: sd_notify(3) through $NOTIFY_SOCKET, and sockets through $LISTEN_FDS.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::case::{Case, cannot, case};
use crate::facts::patience;
use crate::harness::T;
use crate::runtime::Out;

pub const CASES: &[Case] = &[
    case!(notify_in_the_foreground),
    case!(notify_of_a_terminal_container),
    case!(notify_at_start),
    case!(notify_run_detached),
    case!(notify_of_one_that_ends_first),
    case!(notify_nobody_listens),
    case!(notify_by_another_user),
    case!(listen_fds),
    case!(listen_fds_among_the_processes_of_the_host),
    case!(listen_fds_of_one_more_process),
    case!(listen_fds_for_another_process),
];

/// The supervisor's socket.
struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Supervisor {
    fn new(t: &T) -> Self {
        let path = t.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(patience(10))).unwrap();
        Self { socket, path }
    }

    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    #[track_caller]
    fn next(&self) -> String {
        let mut text = [0; 8192];
        let length = self.socket.recv(&mut text).expect("a message");
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    #[track_caller]
    fn nothing_more(&self) {
        self.socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        assert!(self.socket.recv(&mut [0; 8192]).is_err());
    }
}

fn only_ocilet(t: &T) {
    if t.foreign() {
        cannot("other runtimes pass less on");
    }
}

/// Everything that a supervisor acts on, in order, until the end; nothing that speaks for others.
fn notify_in_the_foreground(t: &T) {
    only_ocilet(t);
    let supervisor = Supervisor::new(t);
    let bundle = t.bundle().probe(&[
        "env",
        "NOTIFY_SOCKET",
        "--",
        "notify",
        "STATUS=up",
        "READY=1+MAINPID=1+STATUS=go",
        "FDSTORE=1+FDNAME=x",
        "WATCHDOG=1",
        "RELOADING=1+MONOTONIC_USEC=5",
        "EXTEND_TIMEOUT_USEC=9",
        "STOPPING=1",
    ]);
    let (_, cmd) = bundle.run_cmd(&["--pid-file", &t.path("pid").to_string_lossy()]);
    let out = cmd.env("NOTIFY_SOCKET", &supervisor.name()).run().ok();
    assert_eq!(out.json()["value"], "/run/notify/notify.sock");
    let pid = fs::read_to_string(t.path("pid")).unwrap();
    for message in [
        "STATUS=up\n",
        &format!("READY=1\nSTATUS=go\nMAINPID={pid}\n"),
        "WATCHDOG=1\n",
        "RELOADING=1\nMONOTONIC_USEC=5\n",
        "EXTEND_TIMEOUT_USEC=9\n",
        "STOPPING=1\n",
    ] {
        assert_eq!(supervisor.next(), message);
    }
    supervisor.nothing_more();
}

/// The relay of the terminal waits for both.
fn notify_of_a_terminal_container(t: &T) {
    only_ocilet(t);
    let supervisor = Supervisor::new(t);
    let (_, cmd) = t
        .bundle()
        .edit(|c| c["process"]["terminal"] = json!(true))
        .devpts()
        .probe(&[
            "notify",
            "READY=1",
            "--",
            "sleep",
            "300",
            "--",
            "notify",
            "STATUS=late",
        ])
        .run_cmd(&[]);
    cmd.env("NOTIFY_SOCKET", &supervisor.name()).run().ok();
    assert!(supervisor.next().starts_with("READY=1\nMAINPID="));
    assert_eq!(supervisor.next(), "STATUS=late\n");
}

/// The socket is made by `create`; `start` comes back when the container is ready.
fn notify_at_start(t: &T) {
    only_ocilet(t);
    let supervisor = Supervisor::new(t);
    let bundle = t.bundle().probe(&[
        "sleep",
        "100",
        "--",
        "notify",
        "STATUS=soon",
        "READY=1",
        "--",
        "sleep",
    ]);
    let id = t.id();
    let pid_file = t.path("pid");
    bundle
        .create_cmd(&id, &["--pid-file", &pid_file.to_string_lossy()])
        .env("NOTIFY_SOCKET", &supervisor.name())
        .run()
        .ok();
    let pid = fs::read_to_string(&pid_file).unwrap();
    let start = t
        .cmd(&["start", &id])
        .env("NOTIFY_SOCKET", &supervisor.name())
        .spawn();
    assert_eq!(supervisor.next(), "STATUS=soon\n");
    assert_eq!(supervisor.next(), format!("READY=1\nMAINPID={pid}\n"));
    // systemd closes the descriptor that came with it, as does this, which does not even look at it.
    assert_eq!(supervisor.next(), "BARRIER=1");
    start.wait().ok();
    t.cmd(&["delete", "--force", &id]).run().ok();
    crate::kernel::wait(pid.parse().unwrap(), 0);
}

fn notify_run_detached(t: &T) {
    only_ocilet(t);
    let supervisor = Supervisor::new(t);
    let bundle = t
        .bundle()
        .probe(&["sleep", "50", "--", "notify", "READY=1", "--", "sleep"]);
    let pid_file = t.path("pid");
    let (id, cmd) = bundle.run_cmd(&["--detach", "--pid-file", &pid_file.to_string_lossy()]);
    let run = cmd.env("NOTIFY_SOCKET", &supervisor.name()).spawn();
    let pid = || fs::read_to_string(&pid_file).unwrap();
    assert_eq!(supervisor.next(), format!("READY=1\nMAINPID={}\n", pid()));
    assert_eq!(supervisor.next(), "BARRIER=1");
    run.wait().ok();
    t.cmd(&["delete", "--force", &id]).run().ok();
    crate::kernel::wait(pid().parse().unwrap(), 0);
}

/// `start` does not wait for what will never come.
fn notify_of_one_that_ends_first(t: &T) {
    only_ocilet(t);
    let supervisor = Supervisor::new(t);
    let bundle = t
        .bundle()
        .probe(&["notify", "STATUS=failed", "--", "exit", "3"]);
    let id = t.id();
    let pid_file = t.path("pid");
    bundle
        .create_cmd(&id, &["--pid-file", &pid_file.to_string_lossy()])
        .env("NOTIFY_SOCKET", &supervisor.name())
        .run()
        .ok();
    let pid = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    let start = t
        .cmd(&["start", &id])
        .env("NOTIFY_SOCKET", &supervisor.name());
    start.run().ok();
    assert_eq!(supervisor.next(), "STATUS=failed\n");
    t.cmd(&["delete", "--force", &id]).run().ok();
    crate::kernel::wait(pid, 0);
}

/// A start that nobody would hear of is refused, and leaves the container as it is.
fn notify_nobody_listens(t: &T) {
    only_ocilet(t);
    let bundle = t.bundle().probe(&["sleep"]);
    let (_, cmd) = bundle.run_cmd(&[]);
    cmd.env("NOTIFY_SOCKET", "/nowhere/at/all")
        .run()
        .fails(&["$notify_socket", "no such file"]);
    let container = bundle.create();
    t.cmd(&["start", &container.id])
        .env("NOTIFY_SOCKET", "@ocilet-nobody")
        .run()
        .fails(&["$notify_socket", "refused"]);
    assert_eq!(container.status(), "created");
    // Made without a socket: there is nothing to wait for.
    let supervisor = Supervisor::new(t);
    t.cmd(&["start", &container.id])
        .env("NOTIFY_SOCKET", &supervisor.name())
        .run()
        .ok();
    container.delete_force();
}

fn notify_by_another_user(t: &T) {
    only_ocilet(t);
    let supervisor = Supervisor::new(t);
    let (_, cmd) = t
        .bundle()
        .edit(|c| {
            c["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            c["process"]["env"] = json!(["PATH=/bin", "NOTIFY_SOCKET=/elsewhere"]);
            c["root"]["readonly"] = json!(true);
        })
        .probe(&["create", "/run/notify/x", "--", "notify", "READY=1"])
        .run_cmd(&[]);
    let out = cmd.env("NOTIFY_SOCKET", &supervisor.name()).run();
    assert_ne!(out.lines()[0]["ok"], true, "the directory is read-only");
    assert!(supervisor.next().starts_with("READY=1\n"));
}

/// Runs a container with a file as descriptors 3 to 5, and with these words in the environment.
fn listening(t: &T, environment: &str, flags: &[&str]) -> Out {
    let env = json!(["PATH=/bin", "LISTEN_FDS=77", "LISTEN_PID=78", "A=b"]);
    listening_in(t, env, environment, flags)
}

/// The same, where the process has this environment.
fn listening_in(t: &T, env: serde_json::Value, environment: &str, flags: &[&str]) -> Out {
    let bundle = t
        .bundle()
        .edit(|c| c["process"]["env"] = env)
        .probe(&["report", "--", "fdread", "3"]);
    let (id, _) = bundle.run_cmd(&[]);
    let dir = bundle.dir.to_string_lossy();
    let words = [&["run", "--bundle", &*dir], flags, &[&*id]].concat();
    with_sockets(t, environment, &words)
}

/// ocilet with these words, a file as descriptors 3 to 5, and assignments in front, whose `$$` is its own pid.
fn with_sockets(t: &T, environment: &str, words: &[&str]) -> Out {
    let file = t.path("socket");
    fs::write(&file, "kept").unwrap();
    let open = fs::File::open(&file).unwrap();
    let script = format!("{environment} exec \"$0\" \"$@\"");
    let (ocilet, root) = (t.ocilet.to_string_lossy(), t.root.to_string_lossy());
    let words = [&["-c", &script, &*ocilet, "--root", &*root], words].concat();
    t.tool("sh", &words)
        .called(t)
        .with_fd(20, &open)
        .before_exec(|| {
            // SAFETY: plain numbers.
            unsafe {
                libc::dup2(20, 3);
                libc::dup2(20, 4);
                libc::dup2(20, 5);
            }
            Ok(())
        })
        .run()
}

/// Without HOME, which is the runtime's.
fn environment_of(seen: &serde_json::Value) -> serde_json::Value {
    let mut all = seen["env"].clone();
    all.as_array_mut()
        .unwrap()
        .retain(|entry| !entry.as_str().unwrap().starts_with("HOME="));
    all
}

/// All that systemd gives to a service.
const ALL: &str = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin";

/// Descriptors up to this one are there, and are told of to the pid that the process has for itself.
#[track_caller]
fn got_sockets(out: &Out, last: usize, others: &[&str]) {
    let seen = out.lines().remove(0);
    let wanted: Vec<String> = (0..=last).map(|number| number.to_string()).collect();
    let mut open: Vec<&String> = seen["fds"].as_object().unwrap().keys().collect();
    open.sort();
    assert_eq!(open, wanted.iter().collect::<Vec<_>>());
    let pid = format!("LISTEN_PID={}", seen["terminal"]["pid"]);
    let own = ["LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin", &pid];
    assert_eq!(environment_of(&seen), json!([others, &own].concat()));
}

fn listen_fds(t: &T) {
    only_ocilet(t);
    for (flags, last) in [(&[][..], 4), (&["--preserve-fds", "1"], 5)] {
        let out = listening(t, ALL, flags).ok();
        got_sockets(&out, last, &["PATH=/bin", "A=b"]);
        assert_eq!(out.lines()[1]["data"], "kept");
    }
    // They do not depend on what else is there.
    let out = listening_in(t, json!([]), ALL, &[]).ok();
    got_sockets(&out, 4, &[]);
    assert_eq!(out.json()["terminal"]["pid"], 1);
    // Nor is a HOME found any less.
    let home = json!("HOME=/");
    assert!(out.json()["env"].as_array().unwrap().contains(&home));
    // One that is said to be there and is not; and too many.
    listening(t, "LISTEN_PID=$$ LISTEN_FDS=9", &[]).fails(&["descriptor"]);
    listening(t, "LISTEN_PID=$$ LISTEN_FDS=5000", &[]).fails(&["LISTEN_FDS"]);
}

fn listen_fds_among_the_processes_of_the_host(t: &T) {
    only_ocilet(t);
    let bundle = t
        .bundle()
        .edit(|c| c["process"]["env"] = json!(["A=b", "HOME=/h"]))
        .without_namespace("pid")
        .probe(&["report"]);
    let (id, _) = bundle.run_cmd(&[]);
    let dir = bundle.dir.to_string_lossy();
    let out = with_sockets(t, ALL, &["run", "--bundle", &dir, &id]).ok();
    got_sockets(&out, 4, &["A=b"]);
    assert_ne!(out.json()["terminal"]["pid"], 1);
}

/// crun passes the descriptors on, runc does not; neither tells the process.
fn listen_fds_of_one_more_process(t: &T) {
    only_ocilet(t);
    let env = json!(["PATH=/bin", "LISTEN_PID=78"]);
    let bundle = t.bundle().edit(|c| c["process"]["env"] = env);
    let c = bundle.probe(&["sleep"]).detach();
    let probe = ["/bin/probe", "report", "--", "fdread", "3"];
    for (flags, last) in [
        (&["exec", "-e", "B=c"][..], 4),
        (&["exec", "-e", "B=c", "--preserve-fds", "1"], 5),
    ] {
        let out = with_sockets(t, ALL, &[flags, &[&*c.id], &probe].concat()).ok();
        got_sockets(&out, last, &["PATH=/bin", "B=c"]);
        assert_ne!(out.json()["terminal"]["pid"], 1);
        assert_eq!(out.lines()[1]["data"], "kept");
    }
    let exec = |environment| with_sockets(t, environment, &["exec", &c.id, "/bin/probe", "report"]);
    exec("LISTEN_PID=$$ LISTEN_FDS=9").fails_with(255, &["descriptor"]);
    exec("LISTEN_PID=$$ LISTEN_FDS=5000").fails_with(255, &["LISTEN_FDS"]);
    let seen = exec("LISTEN_PID=1 LISTEN_FDS=2").ok().json();
    assert_eq!(seen["fds"].as_object().unwrap().len(), 3);
    assert_eq!(environment_of(&seen), json!(["PATH=/bin", "LISTEN_PID=78"]));
}

fn listen_fds_for_another_process(t: &T) {
    only_ocilet(t);
    for environment in [
        "LISTEN_PID=1 LISTEN_FDS=2",
        "LISTEN_FDS=2",
        "LISTEN_PID=$$ LISTEN_FDS=x",
    ] {
        // Reading descriptor 3 fails: it is not there.
        let out = listening(t, environment, &[]);
        assert_eq!(out.json()["fds"].as_object().unwrap().len(), 3);
        assert_eq!(
            environment_of(&out.json()),
            json!(["PATH=/bin", "LISTEN_FDS=77", "LISTEN_PID=78", "A=b"])
        );
    }
}
