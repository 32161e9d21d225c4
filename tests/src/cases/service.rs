//! A service manager around the container: sd_notify(3) through $NOTIFY_SOCKET, and sockets through $LISTEN_FDS.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::case::{Case, cannot, case};
use crate::facts::patience;
use crate::harness::T;

pub const CASES: &[Case] = &[
    case!(notify_in_the_foreground),
    case!(notify_of_a_terminal_container),
    case!(notify_at_start),
    case!(notify_run_detached),
    case!(notify_of_one_that_ends_first),
    case!(notify_nobody_listens),
    case!(notify_by_another_user),
    case!(listen_fds),
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

/// Runs a container of this bundle with a file as descriptors 3 and 4, and with these words in the environment.
fn listening(t: &T, environment: &str, flags: &[&str]) -> crate::runtime::Out {
    let env = json!(["PATH=/bin", "LISTEN_FDS=77", "A=b"]);
    listening_in(t, env, environment, flags)
}

/// The same, where the process has this environment.
fn listening_in(
    t: &T,
    env: serde_json::Value,
    environment: &str,
    flags: &[&str],
) -> crate::runtime::Out {
    let file = t.path("socket");
    fs::write(&file, "kept").unwrap();
    let open = fs::File::open(&file).unwrap();
    let bundle = t
        .bundle()
        .edit(|c| c["process"]["env"] = env)
        .probe(&["report", "--", "fdread", "3"]);
    let (id, _) = bundle.run_cmd(&[]);
    let script = format!(
        "{environment} exec \"$0\" --root {} run --bundle {} {} {id}",
        t.root.display(),
        bundle.dir.display(),
        flags.join(" ")
    );
    t.tool("sh", &["-c", &script, &t.ocilet.to_string_lossy()])
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

fn listen_fds(t: &T) {
    only_ocilet(t);
    let all = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin";
    for (flags, last) in [(&[][..], 4), (&["--preserve-fds", "1"], 5)] {
        let out = listening(t, all, flags).ok();
        let seen = out.json();
        let wanted: Vec<String> = (0..=last).map(|number| number.to_string()).collect();
        let mut open: Vec<&String> = Vec::new();
        let fds = seen["fds"].as_object().unwrap();
        open.extend(fds.keys());
        open.sort();
        assert_eq!(open, wanted.iter().collect::<Vec<_>>());
        assert_eq!(
            environment_of(&seen),
            json!([
                "PATH=/bin",
                "A=b",
                "LISTEN_FDS=2",
                "LISTEN_PID=1",
                "LISTEN_FDNAMES=web:admin"
            ])
        );
        assert_eq!(out.lines()[1]["data"], "kept");
    }
    // They do not depend on what else is there.
    let out = listening_in(t, json!([]), all, &[]).ok();
    let all_three = json!(["LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=web:admin"]);
    assert_eq!(environment_of(&out.json()), all_three);
    // One that is said to be there and is not; and too many.
    listening(t, "LISTEN_PID=$$ LISTEN_FDS=9", &[]).fails(&["descriptor"]);
    listening(t, "LISTEN_PID=$$ LISTEN_FDS=5000", &[]).fails(&["LISTEN_FDS"]);
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
            json!(["PATH=/bin", "LISTEN_FDS=77", "A=b"])
        );
    }
}
