//! `checkpoint` and `restore`, through the machine's criu, or the newer one that `tests/run tools` finds.

use std::fs;
use std::io::PipeReader;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::bundle::{Bundle, Container};
use crate::case::{Case, cannot, case};
use crate::facts;
use crate::harness::T;
use crate::kernel;
use crate::pty::{self, ConsoleSocket};
use crate::runtime::{Cmd, Out, Running, json_lines, wait_for};
use crate::witness;

use super::idmap::{self, FIRST, bind, map};
use super::users;

pub const CASES: &[Case] = &[
    case!(memory_is_there_again, 60),
    case!(leave_running, 60),
    case!(flags_for_criu, 60),
    case!(foreground, 60),
    case!(detached_terminal, 60),
    case!(foreground_terminal, 60),
    case!(pipes_are_given_anew, 60),
    case!(mounts_from_outside, 60),
    case!(id_mapped_mounts, 60),
    case!(id_mapped_mounts_in_a_user_namespace, 60),
    case!(id_mapped_like_a_joined_namespace, 60),
    case!(root_without_mount_points, 60),
    case!(joined_network, 60),
    case!(limits_and_hooks, 60),
    case!(pre_dump, 60),
    case!(paused, 60),
    case!(page_server, 60),
    case!(lazy_pages, 60),
    case!(what_cannot_be_checkpointed, 60),
    case!(what_cannot_be_restored, 60),
    case!(without_criu),
    case!(flags_that_make_no_sense),
];

/// The directory of criu; ends the case where there is none that works.
fn home(t: &T) -> &'static Path {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if t.facts.guest {
        cannot("criu: no host tools in a guest");
    }
    match FOUND.get_or_init(facts::criu) {
        Ok(dir) => dir,
        Err(why) => cannot(why),
    }
}

fn path(t: &T) -> String {
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", home(t).display())
}

/// criu itself.
fn criu(t: &T, words: &[&str]) -> Cmd {
    Cmd::new(t, &home(t).join("criu"), words)
}

/// Ends the case where criu does not work.
fn need(t: &T) {
    if t.foreign() {
        cannot("developed with ocilet");
    }
    if t.filter.is_some() {
        cannot("criu under a filter that hides system calls");
    }
    home(t);
}

/// A call of ocilet that finds criu.
fn call(t: &T, words: &[&str]) -> Cmd {
    t.cmd(words).env("PATH", &path(t)).seconds(30)
}

/// One whose standard streams lead to the null device: criu saves no files of the host.
fn quiet(cmd: Cmd) -> Cmd {
    cmd.stdio(Stdio::null(), Stdio::null(), Stdio::null())
}

/// A container that counts in /tmp/count.
fn counting(t: &T) -> Bundle<'_> {
    t.bundle().probe(&["count", "/tmp/count"])
}

/// Runs it, and waits until it counts.
#[track_caller]
fn up<'t>(bundle: &Bundle<'t>) -> Container<'t> {
    let c = bundle.create_by(&[], quiet);
    c.start();
    further(bundle, 0);
    c
}

/// What the container remembers: a number that is its own, and how far it has counted.
fn memory(bundle: &Bundle<'_>) -> Option<(String, u64)> {
    let text = fs::read_to_string(bundle.rootfs().join("tmp/count")).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    Some((
        value["token"].as_str()?.to_owned(),
        value["number"].as_u64()?,
    ))
}

/// Waits until it has counted beyond a number.
#[track_caller]
fn further(bundle: &Bundle<'_>, than: u64) -> (String, u64) {
    let mut now = None;
    wait_for("the container to count", || {
        now = memory(bundle).filter(|(_, number)| *number > than);
        now.is_some()
    });
    now.unwrap()
}

struct Images {
    dir: String,
    work: String,
    pid: PathBuf,
}

fn images(t: &T) -> Images {
    let number = t.next();
    let path = |name: &str| t.path(&format!("{name}{number}"));
    Images {
        dir: path("images").join("of/it").to_string_lossy().into_owned(),
        work: path("work").to_string_lossy().into_owned(),
        pid: path("pid"),
    }
}

impl Images {
    fn checkpoint(&self, c: &Container<'_>, flags: &[&str]) -> Out {
        let mut words = vec!["checkpoint", "--image-path", &self.dir];
        words.extend_from_slice(&["--work-path", &self.work]);
        words.extend_from_slice(flags);
        words.push(&c.id);
        self.again(|| call(c.t, &words).run())
    }

    /// Whether criu has met cgroups of other tests: it walks through whole hierarchies, and they come and go.
    fn met_others(&self, out: &Out) -> bool {
        // Its helper for cgroups complains whenever a restore fails.
        let of_cgroups =
            |error: &str| error.starts_with("criu/cgroup.c") && !error.contains("cgroupd");
        let said = format!("{}{}", out.stderr, self.log("restore.log"));
        out.code() != 0 && said.split("Error (").any(of_cgroups)
    }

    /// Does it again where others were met.
    fn again(&self, run: impl Fn() -> Out) -> Out {
        let mut out = None;
        wait_for("cgroups of other tests to stay the same", || {
            let now = out.insert(run());
            !self.met_others(now)
        });
        out.unwrap()
    }

    /// A restore, prepared.
    fn restore(&self, bundle: &Bundle<'_>, id: &str, flags: &[&str]) -> Cmd {
        bundle.write();
        let dir = bundle.dir.to_string_lossy();
        let pid = self.pid.to_string_lossy();
        let mut words = vec!["restore", "--image-path", &self.dir];
        words.extend_from_slice(&["--work-path", &self.work, "--pid-file", &pid]);
        let short = flags.contains(&"-d");
        words.extend_from_slice(&[if short { "-b" } else { "--bundle" }, &dir]);
        words.extend_from_slice(flags);
        words.push(id);
        call(bundle.t, &words)
    }

    /// Restored in the background.
    #[track_caller]
    fn back(&self, bundle: &Bundle<'_>, c: &Container<'_>) {
        let restore = || self.restore(bundle, &c.id, &["--detach"]);
        self.came_back(&self.again(|| quiet(restore()).run()));
        c.restored(&self.pid);
    }

    #[track_caller]
    fn came_back(&self, out: &Out) {
        let log = self.log("restore.log");
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("Error")).collect();
        assert!(out.code() == 0, "{}\n{errors:#?}", out.stderr);
    }

    /// criu reads the first ones as root without rights, and the others as root of the container: a group has both.
    fn give_to(&self, group: u32) {
        let files = fs::read_dir(&self.dir).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        for path in files.chain([PathBuf::from(&self.dir)]) {
            chown(&path, None, Some(group)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o750)).unwrap();
        }
    }

    /// Restored in the foreground, as soon as it runs.
    #[track_caller]
    fn front(&self, start: impl Fn() -> Running) -> Running {
        let log = || self.log("restore.log");
        let mut found = None;
        wait_for("cgroups of other tests to stay the same", || {
            let _ = fs::remove_file(Path::new(&self.work).join("restore.log"));
            let running = start();
            let done = || log().contains("Restore finished successfully");
            wait_for("criu to be done", || {
                done() || log().contains("Restoring FAILED")
            });
            if done() {
                found = Some(running);
                return true;
            }
            let out = running.wait();
            assert!(self.met_others(&out), "{}\n{}", out.stderr, log());
            false
        });
        found.unwrap()
    }

    /// The log of the last checkpoint or restore.
    fn log(&self, name: &str) -> String {
        fs::read_to_string(Path::new(&self.work).join(name)).unwrap_or_default()
    }
}

fn memory_is_there_again(t: &T) {
    need(t);
    let bundle = counting(t);
    let c = up(&bundle);
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    let (token, number) = memory(&bundle).unwrap();
    assert_eq!(c.wait(), 137, "criu has ended it");
    t.cmd(&["state", &c.id]).run().fails(&["does not exist"]);
    images.back(&bundle, &c);
    assert_eq!(c.status(), "running");
    assert_eq!(c.state()["pid"], c.pid());
    let (after, later) = further(&bundle, number);
    assert_eq!(after, token, "it has started again instead of going on");
    assert!(later < number + 1000);
    // As good as any other: processes join it, it is paused, signalled, and ends.
    let report = c.exec_report(&[]);
    assert_eq!(report["uts"]["host"], "inside");
    t.cmd(&["pause", &c.id]).run().ok();
    assert_eq!(c.status(), "paused");
    t.cmd(&["resume", &c.id]).run().ok();
    // And once more.
    images.checkpoint(&c, &[]).ok();
    let (_, number) = memory(&bundle).unwrap();
    c.wait();
    images.back(&bundle, &c);
    assert_eq!(further(&bundle, number).0, token);
    c.kill("KILL").ok();
    assert_eq!(c.wait(), 137);
    assert_eq!(c.status(), "stopped");
    c.delete();
}

fn leave_running(t: &T) {
    need(t);
    let bundle = counting(t);
    let c = up(&bundle);
    let images = images(t);
    images.checkpoint(&c, &["--leave-running"]).ok();
    let (token, number) = memory(&bundle).unwrap();
    assert_eq!(c.status(), "running");
    assert_eq!(further(&bundle, number).0, token);
    assert!(Path::new(&images.dir).join("inventory.img").exists());
    c.delete_force();
    // The images are whole: what was left running can come back, under another name.
    let id = t.id();
    let restore = || images.restore(&bundle, &id, &["-d"]);
    images.came_back(&images.again(|| quiet(restore()).run()));
    assert_eq!(further(&bundle, 0).0, token);
    t.cmd(&["delete", "--force", &id]).run().ok();
}

/// Each is taken by criu, and harms nothing where there is nothing for it to do.
fn flags_for_criu(t: &T) {
    need(t);
    let bundle = counting(t);
    let c = up(&bundle);
    let images = images(t);
    let both = [
        "--tcp-established",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--auto-dedup",
        "--manage-cgroups-mode=full",
        "--network-lock=skip",
        "--empty-ns=network",
    ];
    let saved = [&both[..], &["--tcp-skip-in-flight", "--link-remap"]].concat();
    images.checkpoint(&c, &saved).ok();
    let (token, _) = memory(&bundle).unwrap();
    c.wait();
    let restored = [&both[..], &["--no-subreaper", "--no-pivot", "-d"]].concat();
    let restore = || images.restore(&bundle, &c.id, &restored);
    images.came_back(&images.again(|| quiet(restore()).run()));
    c.restored(&images.pid);
    assert_eq!(further(&bundle, 0).0, token);
    images
        .checkpoint(&c, &["--tcp-close", "--manage-cgroups-mode", "ignore"])
        .ok();
    c.wait();
    let flags = ["--tcp-close", "--manage-cgroups-mode", "ignore", "-d"];
    let restore = || images.restore(&bundle, &c.id, &flags);
    images.came_back(&images.again(|| quiet(restore()).run()));
    c.restored(&images.pid);
    assert_eq!(further(&bundle, 0).0, token);
    c.delete_force();
}

fn foreground(t: &T) {
    need(t);
    let bundle = t
        .bundle()
        .probe(&["create", "/tmp/up", "--", "signal-wait"]);
    let c = bundle.create_by(&[], quiet);
    c.start();
    wait_for("the program", || bundle.rootfs().join("tmp/up").exists());
    wait_for("its handler", || {
        let status = fs::read_to_string(format!("/proc/{}/status", c.pid())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        caught.is_some_and(|mask| mask & 1 << (libc::SIGTERM - 1) != 0)
    });
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    c.wait();
    let running = images.front(|| quiet(images.restore(&bundle, &c.id, &[])).spawn());
    t.cmd(&["kill", &c.id, "TERM"]).run().ok();
    assert_eq!(running.wait().code(), 7, "{}", images.log("restore.log"));
    t.cmd(&["state", &c.id]).run().fails(&["does not exist"]);
}

fn terminal<'t>(t: &'t T) -> Bundle<'t> {
    t.bundle()
        .devpts()
        .edit(|c| c["process"]["terminal"] = json!(true))
        .probe(&["tally"])
}

/// The word behind `of` in the answer to a line.
#[track_caller]
fn answer(master: &mut pty::Master, word: &str, number: u32) -> String {
    master.write(&format!("{word}\n"));
    let start = format!("{word} is line {number} of ");
    master.until_line(&start);
    let rest = master.text.rsplit(&start).next().unwrap();
    rest.lines().next().unwrap().trim().to_owned()
}

fn detached_terminal(t: &T) {
    need(t);
    let bundle = terminal(t);
    let socket = ConsoleSocket::new(t);
    let c = bundle.create_with(&["--console-socket", &socket.path.to_string_lossy()]);
    let (_, mut master) = socket.receive();
    c.start();
    let token = answer(&mut master, "one", 0);
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    c.wait();
    drop(master);
    let socket = ConsoleSocket::new(t);
    let place = socket.path.to_string_lossy();
    let flags = ["--detach", "--console-socket", &*place];
    let restored = images.restore(&bundle, &c.id, &flags).run();
    images.came_back(&restored);
    c.restored(&images.pid);
    let (_, mut master) = socket.receive();
    assert_eq!(answer(&mut master, "two", 1), token);
    master.write("\u{4}");
    assert_eq!(c.wait(), 0);
    c.delete();
}

fn foreground_terminal(t: &T) {
    need(t);
    let bundle = terminal(t);
    let (mut master, slave) = pty::open().unwrap();
    let (id, cmd) = bundle.run_cmd(&[]);
    let running = cmd.terminal(&slave).spawn();
    let token = answer(&mut master, "one", 0);
    let images = images(t);
    let words = [
        "checkpoint",
        "--image-path",
        &images.dir,
        "--work-path",
        &images.work,
        &id,
    ];
    images.again(|| call(t, &words).run()).ok();
    assert_eq!(running.wait().code(), 137);
    let (mut master, slave) = pty::open().unwrap();
    let restore = || images.restore(&bundle, &id, &[]).terminal(&slave);
    let running = images.front(|| restore().spawn());
    assert_eq!(answer(&mut master, "two", 1), token);
    master.write("\u{4}");
    assert_eq!(running.wait().code(), 0);
}

/// The streams that were pipes are those of `restore`.
fn pipes_are_given_anew(t: &T) {
    need(t);
    let bundle = t.bundle().probe(&["count", "-"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let c = bundle.create_by(&[], |cmd| {
        cmd.stdio(Stdio::null(), Stdio::from(writer), Stdio::null())
    });
    c.start();
    let line = |reader: &PipeReader| -> Value {
        let mut text = String::new();
        wait_for("a line from the pipe", || {
            if let Ok(Some(bytes)) = kernel::read_some(reader.as_raw_fd(), 4096, 100) {
                text += &String::from_utf8_lossy(&bytes);
            }
            text.lines().count() > 2
        });
        serde_json::from_str(text.lines().nth(1).unwrap()).unwrap()
    };
    let before = line(&reader);
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    c.wait();
    drop(reader);
    let (reader, writer) = std::io::pipe().unwrap();
    let restored = images
        .restore(&bundle, &c.id, &["--detach"])
        .stdio(Stdio::null(), Stdio::from(writer), Stdio::null())
        .run();
    images.came_back(&restored);
    c.restored(&images.pid);
    let after = line(&reader);
    assert_eq!(before["token"], after["token"]);
    assert!(before["number"].as_u64() < after["number"].as_u64());
    c.delete_force();
}

/// Bind mounts of a directory, of a file and through a link, masked and read-only paths: the sources are those of the
/// config at restore.
fn mounts_from_outside(t: &T) {
    need(t);
    let sources = |name: &str| {
        let dir = t.path(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), name).unwrap();
        dir.to_string_lossy().into_owned()
    };
    let (old, new) = (sources("old"), sources("new"));
    let with = |source: &str, bundle: Bundle<'_>| -> Value {
        let file = format!("{source}/file");
        let mut config = bundle
            .mount("/outside", "", source, &["bind", "ro"])
            .mount("/etc/file", "", &file, &["bind"])
            .mount("/link/below", "", source, &["bind"])
            .edit(|c| {
                c["linux"]["maskedPaths"] = json!(["/proc/timer_list", "/proc/acpi", "/proc/keys"]);
                c["linux"]["readonlyPaths"] = json!(["/proc/sys", "/proc/bus"]);
            });
        config.config.take()
    };
    let mut bundle = counting(t);
    symlink("/tmp", bundle.rootfs().join("link")).unwrap();
    bundle.config = with(&old, counting(t));
    let c = up(&bundle);
    let seen = |c: &Container<'_>, path: &str| {
        let out = c.exec(&[], &["read", path]).ok().json();
        out["data"].as_str().unwrap_or_default().to_owned()
    };
    let places = ["/outside/file", "/etc/file", "/tmp/below/file"];
    for place in places {
        assert_eq!(seen(&c, place), "old", "{place}");
    }
    let mounts = |c: &Container<'_>| -> Vec<String> {
        let mut all: Vec<String> = c.mounts().iter().map(|it| it.target.clone()).collect();
        all.sort();
        all
    };
    let before = mounts(&c);
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    c.wait();
    bundle.config = with(&new, counting(t));
    images.back(&bundle, &c);
    for place in places {
        assert_eq!(seen(&c, place), "new", "{place}");
    }
    assert_eq!(mounts(&c), before);
    let out = c.exec(&[], &["create", "/outside/x"]);
    assert_eq!(out.json()["errno"], "EROFS");
    let out = c.exec(&[], &["open", "/proc/sys/kernel/domainname", "w"]);
    assert_eq!(out.json()["errno"], "EROFS");
    assert_eq!(seen(&c, "/proc/keys"), "");
    c.delete_force();
}

/// The owner of a file, from inside.
#[track_caller]
fn owner(c: &Container<'_>, path: &str) -> u64 {
    let line = c.exec(&[], &["stat", path]).ok().json();
    assert_eq!(line["uid"], line["gid"], "{path}");
    line["uid"].as_u64().expect(path)
}

/// Several of one source, each with ids of its own; through a link that leads elsewhere on the host; of a file.
fn id_mapped_mounts(t: &T) {
    need(t);
    idmap::need(t);
    let source = idmap::source(t);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o777)).unwrap();
    let (one, other) = (map(0, FIRST, 65_536), map(0, 200_000, 65_536));
    let mut bundle = counting(t);
    symlink("/tmp", bundle.rootfs().join("link")).unwrap();
    let file = source.join("user");
    bundle = bind(bundle, &source, "/one", &["bind", "idmap"], Some(&one));
    bundle = bind(bundle, &source, "/other", &["bind"], Some(&other));
    bundle = bind(bundle, &source, "/plain", &["bind"], None);
    bundle = bind(
        bundle,
        &source,
        "/link/x",
        &["rbind", "ridmap", "ro"],
        Some(&one),
    );
    bundle = bind(bundle, &file, "/etc/file", &["bind", "idmap"], Some(&other));
    let c = up(&bundle);
    let mounts = |c: &Container<'_>| -> Vec<String> {
        let mut all: Vec<String> = c.mounts().iter().map(|it| it.target.clone()).collect();
        all.sort();
        all
    };
    let look = || {
        for (path, want) in [
            ("/one/root", 100_000),
            ("/one/user", 101_000),
            ("/one/far", 65_534),
            ("/other/user", 201_000),
            ("/plain/user", 1000),
            ("/tmp/x/user", 101_000),
            ("/etc/file", 201_000),
        ] {
            assert_eq!(owner(&c, path), want, "{path}");
        }
        let out = c.exec(&[], &["create", "/tmp/x/new"]);
        assert_eq!(out.json()["errno"], "EROFS");
        let user = ["--user", "100007:100007"];
        assert_eq!(c.exec(&user, &["create", "/one/new"]).json()["ok"], true);
        let made = fs::metadata(source.join("new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (7, 7));
        fs::remove_file(source.join("new")).unwrap();
    };
    look();
    let before = mounts(&c);
    let images = images(t);
    // Twice: what is restored can be saved.
    for _ in 0..2 {
        images.checkpoint(&c, &[]).ok();
        let (token, number) = memory(&bundle).unwrap();
        c.wait();
        images.back(&bundle, &c);
        assert_eq!(further(&bundle, number).0, token);
        look();
        assert_eq!(mounts(&c), before);
        for place in ["/one", "/other", "/tmp/x", "/etc/file"] {
            assert!(c.mount_at(place).has("idmapped"), "{place}");
        }
    }
    c.delete_force();
}

/// With its mappings, and with others.
fn id_mapped_mounts_in_a_user_namespace(t: &T) {
    need(t);
    idmap::need(t);
    let source = idmap::source(t);
    let mut bundle = users::bundle(t).probe(&["count", "/tmp/count"]);
    bundle = bind(bundle, &source, "/own", &["bind", "idmap"], None);
    let other = map(1000, FIRST, 1);
    bundle = bind(bundle, &source, "/other", &["bind"], Some(&other));
    bundle = bind(bundle, &source, "/again", &["bind", "ridmap"], None);
    let c = up(&bundle);
    let look = || {
        for (path, want) in [
            ("/own/user", 1000),
            ("/other/user", 0),
            ("/other/root", 65_534),
            ("/again/root", 0),
        ] {
            assert_eq!(owner(&c, path), want, "{path}");
        }
        assert_eq!(c.exec(&[], &["create", "/own/new"]).json()["ok"], true);
        let made = fs::metadata(source.join("new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (0, 0));
        fs::remove_file(source.join("new")).unwrap();
    };
    look();
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    let (token, number) = memory(&bundle).unwrap();
    c.wait();
    images.give_to(FIRST);
    images.back(&bundle, &c);
    assert_eq!(further(&bundle, number).0, token);
    look();
    c.delete_force();
}

/// criu makes another user namespace then, of which nothing is known before.
fn id_mapped_like_a_joined_namespace(t: &T) {
    need(t);
    idmap::need(t);
    let first = users::bundle(t).probe(&["sleep"]).create();
    let users = format!("/proc/{}/ns/user", first.pid());
    let bundle = counting(t).namespace("user", Some(&users));
    users::own(&bundle, FIRST);
    let source = idmap::source(t);
    let bundle = bind(bundle, &source, "/m", &["bind", "idmap"], None);
    let c = up(&bundle);
    assert_eq!(owner(&c, "/m/user"), 1000);
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    c.wait();
    images.give_to(FIRST);
    let out = images.restore(&bundle, &c.id, &["--detach"]).run();
    out.fails(&["cannot map the ids of /m", "EPERM"]);
    t.cmd(&["state", &c.id]).run().fails(&["does not exist"]);
}

/// Images go to another machine without the mount points that were made in the root.
fn root_without_mount_points(t: &T) {
    need(t);
    let outside = t.path("outside");
    fs::create_dir(&outside).unwrap();
    let source = outside.to_string_lossy().into_owned();
    let edit = |bundle: Bundle<'_>| -> Value {
        let mut bundle = bundle.mount("/a/b/c", "", &source, &["bind"]).mount(
            "/fresh/tmpfs",
            "tmpfs",
            "tmpfs",
            &[],
        );
        bundle.config.take()
    };
    let mut bundle = counting(t);
    bundle.config = edit(counting(t));
    let c = up(&bundle);
    let (token, _) = memory(&bundle).unwrap();
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    c.wait();
    let mut other = counting(t);
    other.config = edit(counting(t));
    assert!(!other.rootfs().join("a").exists());
    images.back(&other, &c);
    assert_eq!(further(&other, 0).0, token);
    assert!(other.rootfs().join("a/b/c").is_dir());
    c.delete_force();
}

fn joined_network(t: &T) {
    need(t);
    let network = t.bundle().probe(&["sleep"]).detach();
    let place = format!("/proc/{}/ns/net", network.pid());
    let bundle = counting(t).namespace("network", Some(&place));
    let c = up(&bundle);
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    let (token, number) = memory(&bundle).unwrap();
    c.wait();
    images.back(&bundle, &c);
    assert_eq!(further(&bundle, number).0, token);
    let own = fs::read_link(format!("/proc/{}/ns/net", c.pid())).unwrap();
    assert_eq!(own, fs::read_link(&place).unwrap());
    c.delete_force();
}

/// The cgroup is made anew, with the limits of config.json; the hooks for when the namespaces are there run, and those
/// for the end.
fn limits_and_hooks(t: &T) {
    need(t);
    super::limits::need(t, "pids");
    let log = t.path("hooks").to_string_lossy().into_owned();
    let hook = |bundle: &Bundle<'_>, kind: &str| {
        let probe = bundle.rootfs().join("bin/probe");
        json!([{"path": probe, "args": ["probe", "hook", log, kind]}])
    };
    const KINDS: [&str; 4] = ["prestart", "createRuntime", "poststart", "poststop"];
    let bundle = counting(t);
    let hooks: Vec<Value> = KINDS.iter().map(|kind| hook(&bundle, kind)).collect();
    let bundle = bundle.edit(|c| {
        c["linux"]["resources"] = json!({"pids": {"limit": 77}});
        for (kind, hook) in KINDS.iter().zip(hooks) {
            c["hooks"][kind] = hook;
        }
    });
    let c = up(&bundle);
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    c.wait();
    fs::write(&log, "").unwrap();
    images.back(&bundle, &c);
    let ran = || -> Vec<(String, Value)> {
        let lines = json_lines(&fs::read_to_string(&log).unwrap_or_default());
        let word = |line: &Value| line["words"][0].as_str().unwrap_or("?").to_owned();
        lines
            .iter()
            .map(|line| (word(line), line["state"]["pid"].clone()))
            .collect()
    };
    let expected = ["prestart", "createRuntime"];
    let expected = expected.map(|kind| (kind.to_owned(), json!(c.pid())));
    assert_eq!(ran(), expected);
    for limit in witness::cgroups(&c.id)
        .iter()
        .map(|dir| dir.join("pids.max"))
    {
        if let Ok(text) = fs::read_to_string(&limit) {
            assert_eq!(text.trim(), "77", "{limit:?}");
        }
    }
    c.delete_force();
    assert_eq!(ran().last().unwrap().0, "poststop");
}

fn pre_dump(t: &T) {
    need(t);
    if !facts::criu_has("mem_dirty_track") {
        cannot("this kernel does not track changed memory (CONFIG_MEM_SOFT_DIRTY)");
    }
    let bundle = counting(t);
    let c = up(&bundle);
    let (first, second) = (images(t), images(t));
    first.checkpoint(&c, &["--pre-dump"]).ok();
    assert_eq!(c.status(), "running");
    let parent = format!("../../../{}", relative(t, &first.dir));
    second.checkpoint(&c, &["--parent-path", &parent]).ok();
    let (token, number) = memory(&bundle).unwrap();
    c.wait();
    second.back(&bundle, &c);
    assert_eq!(further(&bundle, number).0, token);
    c.delete_force();
}

/// The rest of a path below the directory of the case.
fn relative<'p>(t: &T, path: &'p str) -> &'p str {
    let start = t.dir.to_string_lossy();
    path.strip_prefix(&*start).unwrap().trim_start_matches('/')
}

fn paused(t: &T) {
    need(t);
    let bundle = counting(t);
    let c = up(&bundle);
    t.cmd(&["pause", &c.id]).run().ok();
    let images = images(t);
    images.checkpoint(&c, &[]).ok();
    let (token, number) = memory(&bundle).unwrap();
    c.wait();
    images.back(&bundle, &c);
    assert_eq!(c.status(), "running");
    assert_eq!(further(&bundle, number).0, token);
    c.delete_force();
}

/// A free port of this machine.
fn port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    socket.local_addr().expect("bound").port()
}

fn page_server(t: &T) {
    need(t);
    let bundle = counting(t);
    let c = up(&bundle);
    let images = images(t);
    fs::create_dir_all(&images.dir).unwrap();
    let port = port().to_string();
    let server = criu(
        t,
        &["page-server", "--images-dir", &images.dir, "--port", &port],
    )
    .seconds(30)
    .spawn();
    wait_for("the page server", || listens(&port));
    let address = format!("127.0.0.1:{port}");
    images.checkpoint(&c, &["--page-server", &address]).ok();
    server.wait().ok();
    let (token, number) = memory(&bundle).unwrap();
    c.wait();
    images.back(&bundle, &c);
    assert_eq!(further(&bundle, number).0, token);
    c.delete_force();
}

/// Whether there is a listener at a port, without connecting to it.
fn listens(port: &str) -> bool {
    let number: u16 = port.parse().unwrap();
    let wanted = format!(":{number:04X} ");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            let here = words
                .nth(1)
                .is_some_and(|it| format!("{it} ").ends_with(&wanted));
            here && words.nth(1) == Some("0A")
        })
    })
}

fn lazy_pages(t: &T) {
    need(t);
    if !facts::criu_has("uffd-noncoop") {
        cannot("this kernel has no userfaultfd that criu can use");
    }
    let bundle = counting(t);
    let c = up(&bundle);
    let images = images(t);
    let port = port().to_string();
    let address = format!("127.0.0.1:{port}");
    let (reader, writer) = std::io::pipe().unwrap();
    let words = [
        "checkpoint",
        "--image-path",
        &images.dir,
        "--work-path",
        &images.work,
        "--lazy-pages",
        "--page-server",
        &address,
        "--status-fd",
        "9",
        &c.id,
    ];
    let saving = call(t, &words).with_fd(9, &writer).spawn();
    drop(writer);
    let word = kernel::read_some(reader.as_raw_fd(), 16, 20_000).expect("pipe");
    assert_eq!(
        word.as_deref(),
        Some(&b"\0"[..]),
        "{}",
        images.log("dump.log")
    );
    let (token, number) = memory(&bundle).unwrap();
    let words = [
        "lazy-pages",
        "--images-dir",
        &images.dir,
        "--work-dir",
        &images.work,
        "--page-server",
        "--address",
        "127.0.0.1",
        "--port",
        &port,
    ];
    let pages = criu(t, &words).seconds(30).spawn();
    wait_for("the socket of lazy-pages", || {
        Path::new(&images.work).join("lazy-pages.socket").exists()
    });
    // While the memory is still with the old one, so is its name.
    let id = t.id();
    let restored = quiet(images.restore(&bundle, &id, &["--detach", "--lazy-pages"])).run();
    images.came_back(&restored);
    assert_eq!(further(&bundle, number).0, token);
    let pages = pages.wait();
    let saved = saving.wait();
    t.cmd(&["delete", "--force", &id]).run().ok();
    if pages.code() != 0 {
        c.delete_force();
        // Seen with 4.1.1: "page-pipe: splice: -1: Bad file descriptor".
        cannot(format!(
            "criu loses the memory: {}{}",
            pages.stderr, saved.stderr
        ));
    }
    saved.ok();
    c.wait();
}

fn what_cannot_be_checkpointed(t: &T) {
    need(t);
    let images = images(t);
    let bundle = counting(t);
    let c = bundle.create_by(&[], quiet);
    images.checkpoint(&c, &[]).fails(&["running or paused"]);
    c.start();
    further(&bundle, 0);
    c.delete_force();
    // criu says what is wrong: an open file of the host, which is nowhere in the container.
    let file = fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let c = bundle.create_by(&[], |cmd| quiet(cmd).stdin(file));
    c.start();
    let log = format!("{}/dump.log", images.work);
    let out = images.checkpoint(&c, &[]);
    out.fails(&["cannot checkpoint the container", "Error (", &log]);
    assert_eq!(c.status(), "running", "it goes on");
    c.kill("KILL").ok();
    c.wait();
    images.checkpoint(&c, &[]).fails(&["running or paused"]);
    c.delete();
    images.checkpoint(&c, &[]).fails(&["does not exist"]);
}

fn what_cannot_be_restored(t: &T) {
    need(t);
    let images = images(t);
    let bundle = counting(t);
    let id = t.id();
    images
        .restore(&bundle, &id, &[])
        .run()
        .fails(&["directory of the images", "no such file"]);
    fs::create_dir_all(&images.dir).unwrap();
    let log = format!("{}/restore.log", images.work);
    let out = images.restore(&bundle, &id, &["--detach"]).run();
    out.fails(&["cannot restore the container", "Error (", &log]);
    t.cmd(&["state", &id]).run().fails(&["does not exist"]);
    // Nobody's name is taken.
    let c = up(&bundle);
    images.checkpoint(&c, &["--leave-running"]).ok();
    images
        .restore(&bundle, &c.id, &[])
        .run()
        .fails(&["already exists"]);
    assert_eq!(c.status(), "running");
}

fn without_criu(t: &T) {
    if t.foreign() {
        return;
    }
    let c = t.bundle().probe(&["sleep"]).detach();
    let images = t.path("images").to_string_lossy().into_owned();
    let checkpoint = |path: &str| {
        let words = ["checkpoint", "--image-path", &images, &c.id];
        t.cmd(&words).env("PATH", path).run()
    };
    checkpoint("/no/such").fails(&["cannot run criu", "not in $PATH"]);
    assert_eq!(c.status(), "running");
    // One that says nothing.
    let bin = t.path("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/true", bin.join("criu")).unwrap();
    if Path::new("/bin/true").exists() {
        checkpoint(&bin.to_string_lossy()).fails(&["exited with status 0", "dump.log"]);
    }
    let id = t.id();
    let words = ["restore", "--image-path", &images, "--bundle"];
    let bundle = t.bundle();
    bundle.write();
    let dir = bundle.dir.to_string_lossy();
    let words: Vec<&str> = words.into_iter().chain([&*dir, &*id]).collect();
    t.cmd(&words)
        .env("PATH", "/no/such")
        .run()
        .fails(&["cannot run criu", "not in $PATH"]);
    t.cmd(&["state", &id]).run().fails(&["does not exist"]);
}

fn flags_that_make_no_sense(t: &T) {
    if t.foreign() {
        return;
    }
    for (flag, value) in [
        ("--manage-cgroups-mode", "hard"),
        ("--network-lock", "x"),
        ("--empty-ns", "pid"),
        ("--page-server", "1234"),
        ("--page-server", "a:b"),
        ("--status-fd", "77"),
        ("--status-fd", "x"),
        ("--parent-path", "/absolute"),
    ] {
        let out = t.cmd(&["checkpoint", flag, value, "nobody"]).run();
        out.fails(&["invalid value", &flag[2..]]);
    }
    // Not to be written to.
    let file = fs::File::open("/dev/null").unwrap();
    let cmd = t.cmd(&["checkpoint", "--status-fd", "8", "nobody"]);
    cmd.with_fd(8, &file).run().fails(&["invalid value"]);
    let out = t
        .cmd(&["checkpoint", "--parent-path", "missing", "nobody"])
        .run();
    out.fails(&["--parent-path", "no such file"]);
}
