//! The command line: flags and their positions, output formats, error channels, pid files, spec, list.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Case, cannot, case};
use crate::facts::patience;
use crate::harness::T;
use crate::runtime::Out;

pub const CASES: &[Case] = &[
    case!(version_and_help),
    case!(usage_errors),
    case!(flags_before_and_after_the_id),
    case!(flags_with_equals_and_single_dash),
    case!(bundle_defaults_to_the_current_directory),
    case!(pid_file_holds_the_bare_number),
    case!(relative_root),
    case!(pid_file_is_not_written_on_failure),
    case!(log_file_in_json),
    case!(log_file_in_text),
    case!(logs_of_the_system),
    case!(list_formats),
    case!(list_of_a_missing_root),
    case!(features_document),
    case!(completion_for_shells),
    case!(spec_writes_a_config),
    case!(spec_on_a_full_disk),
    case!(spec_rootless),
    case!(spec_config_runs),
    case!(state_root_is_private),
    case!(state_root_that_is_a_trap),
    case!(missing_config),
    case!(console_socket_without_terminal),
    case!(debug_is_accepted),
    case!(environment_of_the_caller_stays_out),
];

fn version_and_help(t: &T) {
    let version = t.bare(&["--version"]).run().ok();
    let first = version.stdout.lines().next().unwrap().to_owned();
    assert!(first.contains("version"), "{first}");
    assert!(version.stdout.contains("spec: 1."), "{}", version.stdout);
    for words in [
        &["--help"][..],
        &["-h"],
        &["create", "--help"],
        &["run", "--help"],
        &["delete", "-h"],
    ] {
        let help = t.bare(words).run().ok();
        assert!(help.stdout.len() > 50, "{words:?}: {}", help.stdout);
    }
    let help = t.bare(&["--help"]).run().ok().stdout;
    for word in [
        "create", "start", "run", "state", "kill", "delete", "list", "spec", "--root", "--log",
    ] {
        assert!(help.contains(word), "help does not mention {word}");
    }
}

fn usage_errors(t: &T) {
    for words in [
        &["nonsense"][..],
        &["--nonsense", "list"],
        &["create", "--nonsense", "x"],
        &["start"],
        &["state"],
        &["state", "a", "b"],
        &["create", "--bundle"],
    ] {
        let out = t.bare(words).run();
        assert!(out.code() != 0, "{words:?} succeeded");
        assert!(
            !out.stderr.is_empty() || !out.stdout.is_empty(),
            "{words:?}: silence"
        );
    }
    if !t.foreign() {
        for words in [
            &["--root", "/", "list"][..],
            &["--log-format", "xml", "list"],
            &["list", "--format", "xml"],
        ] {
            t.bare(words).run().fails(&[]);
        }
    }
}

fn flags_before_and_after_the_id(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy();
    let (a, b) = (t.id(), t.id());
    t.cmd(&["create", "--bundle", &dir, &a]).run().ok();
    t.cmd(&["create", &b, "--bundle", &dir]).run().ok();
    t.cmd(&["delete", "--force", &a]).run().ok();
    t.cmd(&["delete", &b, "--force"]).run().ok();
}

fn flags_with_equals_and_single_dash(t: &T) {
    let bundle = t.bundle().probe(&["exit", "0"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy();
    let root = format!("--root={}", t.root.display());
    t.bare(&[&root, "run", &format!("--bundle={dir}"), &t.id()])
        .run()
        .ok();
    t.bare(&[&root, "run", "-b", &dir, &t.id()]).run().ok();
    if !t.foreign() {
        t.bare(&[&root, "run", &format!("-b={dir}"), &t.id()])
            .run()
            .ok();
    }
    t.bare(&[&root, "run", "-bundle", &dir, "-no-subreaper", &t.id()])
        .run()
        .ok();
    t.bare(&[
        &root,
        "run",
        "--no-subreaper=true",
        "-b",
        &dir,
        "--",
        &t.id(),
    ])
    .run()
    .ok();
}

fn bundle_defaults_to_the_current_directory(t: &T) {
    let bundle = t.bundle().probe(&["echo", "here"]);
    bundle.write();
    let out = t.cmd(&["run", &t.id()]).cwd(&bundle.dir).run().ok();
    assert_eq!(out.stdout, "here\n");
    let parent = bundle.dir.parent().unwrap();
    let name = bundle.dir.file_name().unwrap().to_string_lossy();
    t.cmd(&["run", "-b", &name, &t.id()]).cwd(parent).run().ok();
}

fn pid_file_holds_the_bare_number(t: &T) {
    // Container::read_pid parses the whole file, so a newline would fail there already.
    let c = t.bundle().probe(&["sleep"]).create();
    let file = t.path(&format!("{}.pid", c.id));
    assert_eq!(fs::read_to_string(&file).unwrap(), c.pid().to_string());
    let mode = fs::metadata(&file).unwrap().mode() & 0o777;
    assert!(mode & 0o022 == 0, "the pid file is {mode:o}");
    // A relative path is relative to the caller.
    let id = t.id();
    t.bundle()
        .probe(&["sleep"])
        .create_cmd(&id, &["--pid-file", "rel.pid"])
        .run()
        .ok();
    assert!(t.path("rel.pid").exists());
    t.cmd(&["delete", "--force", &id]).run().ok();
}

/// It is where the caller is, not where the bundle is.
fn relative_root(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    bundle.write();
    let (id, dir) = (t.id(), bundle.dir.to_string_lossy());
    t.bare(&["--root", "here", "create", "--bundle", &dir, &id])
        .run()
        .ok();
    assert!(t.path("here").join(&id).exists());
    for verb in ["start", "state", "delete --force"] {
        let words: Vec<&str> = ["--root", "here"]
            .into_iter()
            .chain(verb.split(' '))
            .collect();
        t.bare(&[&words[..], &[&*id]].concat()).run().ok();
    }
}

fn pid_file_is_not_written_on_failure(t: &T) {
    let file = t.path("no.pid");
    let name = file.to_string_lossy();
    let bundle = t
        .bundle()
        .edit(|c| c["process"]["args"] = json!(["/nothing"]));
    bundle
        .create_cmd(&t.id(), &["--pid-file", &name])
        .run()
        .fails(&[]);
    assert!(
        !file.exists(),
        "conmon takes the existence of the pid file as success"
    );
    // A place that cannot be written fails the call, and nothing stays.
    let good = t.bundle().probe(&["sleep"]);
    good.create_cmd(&t.id(), &["--pid-file", "/proc/nowhere/pid"])
        .run()
        .fails(&[]);
}

fn log_file_in_json(t: &T) {
    let log = t.path("log.json");
    let name = log.to_string_lossy().into_owned();
    let words = [
        "--log",
        &name,
        "--log-format",
        "json",
        "start",
        "no\u{2e}body",
    ];
    let out = t.cmd(&words).run().fails(&["does not exist"]);
    assert!(out.stderr.lines().count() <= 2, "stderr: {}", out.stderr);
    let text = fs::read_to_string(&log).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["msg"].as_str().unwrap().contains("does not exist"));
    assert!(last["time"].as_str().unwrap().contains('T'));
    // Appended, never truncated.
    t.cmd(&words).run().fails(&[]);
    let errors = fs::read_to_string(&log).unwrap();
    let errors = errors
        .lines()
        .filter(|line| line.contains("\"error\""))
        .count();
    assert_eq!(errors, 2, "one error record per failed call");
}

fn log_file_in_text(t: &T) {
    let log = t.path("log.txt");
    let name = log.to_string_lossy();
    t.cmd(&["--log", &name, "state", "nobody"])
        .run()
        .fails(&["does not exist"]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("does not exist"), "{text}");
}

/// A failure with `--log`, where these sockets are at the system's places.
/// The program is held open, as it lies under /run itself in a guest.
fn with_system_logs(t: &T, log: &str) -> Out {
    let script = "exec 9<\"$1\" && shift \
        && mount -t tmpfs none /run && mkdir -p /run/systemd/journal \
        && ln -s \"$0/journal\" /run/systemd/journal/socket \
        && mount -t tmpfs none /dev && ln -s \"$0/syslog\" /dev/log \
        && exec /proc/self/fd/9 \"$@\"";
    let places = t.path("journal");
    let places = places.parent().unwrap().to_string_lossy();
    let (ocilet, root) = (t.ocilet.to_string_lossy(), t.root.to_string_lossy());
    let words = ["-m", "sh", "-c", script, &places, &ocilet, "--root", &root];
    let words = [&words[..], &["--log", log, "state", "nobody"]].concat();
    t.tool("unshare", &words).run().fails(&["does not exist"])
}

fn logs_of_the_system(t: &T) {
    if t.foreign() {
        cannot("crun says other words, runc has none of them");
    }
    t.facts.need_tool("unshare");
    let bind = |name| {
        let socket = UnixDatagram::bind(t.path(name)).unwrap();
        socket.set_read_timeout(Some(patience(10))).unwrap();
        socket
    };
    let (journal, syslog) = (bind("journal"), bind("syslog"));
    let heard = |socket: &UnixDatagram| {
        let mut bytes = [0; 8192];
        let length = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let out = with_system_logs(t, "journald:my pods");
    let said = out.stderr.trim_end().strip_prefix("ocilet: ").unwrap();
    let wanted =
        format!("PRIORITY=3\nSYSLOG_IDENTIFIER=my pods\nCONTAINER_ID=nobody\nMESSAGE={said}\n");
    assert_eq!(heard(&journal), wanted);
    with_system_logs(t, "syslog:pods");
    let text = heard(&syslog);
    let (pid, rest) = text
        .strip_prefix("<11>pods[")
        .unwrap()
        .split_once(']')
        .unwrap();
    assert!(pid.parse::<u32>().is_ok(), "{text}");
    assert_eq!(rest, format!(": {said}"));
    // Nobody reads; nothing of that name is made.
    drop((journal, syslog));
    for log in ["journald:pods", "syslog:pods"] {
        with_system_logs(t, log);
        assert!(!Path::new(log).exists());
    }
}

fn list_formats(t: &T) {
    let empty = t.cmd(&["list", "--format", "json"]).run().ok();
    assert_eq!(empty.stdout, "null\n");
    let a = t.bundle().probe(&["sleep"]).create();
    let b = t.bundle().probe(&["sleep"]).detach();
    let table = t.cmd(&["list"]).run().ok().stdout;
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let row = |id: &str| {
        table
            .lines()
            .find(|line| line.split_whitespace().next() == Some(id))
            .unwrap()
            .to_owned()
    };
    assert!(
        row(&a.id).contains("created") && row(&b.id).contains("running"),
        "{table}"
    );
    let column = table.lines().next().unwrap().find("PID").unwrap();
    assert!(
        row(&a.id)[column..].starts_with(&a.pid().to_string()),
        "{table}"
    );
    let all: Value =
        serde_json::from_str(&t.cmd(&["list", "-f", "json"]).run().ok().stdout).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let find = |id: &str| {
        all.as_array()
            .unwrap()
            .iter()
            .find(|each| each["id"] == id)
            .unwrap()
            .clone()
    };
    assert_eq!(find(&a.id)["status"], "created");
    assert_eq!(find(&b.id)["status"], "running");
    let quiet = t.cmd(&["list", "--quiet"]).run().ok().stdout;
    let mut lines: Vec<&str> = quiet.lines().collect();
    lines.sort_unstable();
    let mut expected = [&*a.id, &*b.id];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

fn list_of_a_missing_root(t: &T) {
    let missing = t.path("no-root").to_string_lossy().into_owned();
    let out = t.bare(&["--root", &missing, "list"]).run();
    if !t.foreign() {
        out.fails(&["no such file"]);
    }
    assert!(!t.path("no-root").exists(), "list made the state root");
}

/// Each shell gets every verb and flag; bash is asked what it makes of it.
fn completion_for_shells(t: &T) {
    if t.foreign() {
        return;
    }
    for shell in ["bash", "zsh", "fish", "man"] {
        let text = t.bare(&["completion", shell]).run().ok().stdout;
        for word in ["create", "preserve-fds", "features", "cgroup-manager"] {
            assert!(text.replace("\\-", "-").contains(word), "{shell}: {word}");
        }
        assert!(!text.contains("no-subreaper") || shell != "man" || text.contains("adopt"));
    }
    t.bare(&["completion", "csh"]).run().fails(&["bash, zsh"]);
    let script = "eval \"$($0 completion bash)\"; complete_words() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
         _ocilet; echo \"${COMPREPLY[@]}\"; }; complete_words ocilet --root /x create --pre; \
         complete_words ocilet ki; complete_words ocilet --log-f";
    let ocilet = t.ocilet.to_string_lossy();
    let seen = t.tool("bash", &["-c", script, &ocilet]).run().ok().stdout;
    assert_eq!(seen, "--preserve-fds\nkill\n--log-format\n");
}

/// The document has the shape that the specification gives it, and says what other cases show.
fn features_document(t: &T) {
    let text = t.bare(&["features"]).run().ok().stdout;
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let strings = |path: &str| -> Vec<String> {
        let list = document.pointer(path).unwrap_or_else(|| panic!("{path}"));
        serde_json::from_value(list.clone()).unwrap_or_else(|_| panic!("{path}: {list}"))
    };
    assert_eq!(document["ociVersionMin"], "1.0.0");
    assert!(document["ociVersionMax"].is_string());
    let options = strings("/mountOptions");
    for option in [
        "rro", "ro", "rbind", "rprivate", "nosuid", "rnosuid", "idmap", "ridmap",
    ] {
        assert!(options.iter().any(|known| known == option), "{option}");
    }
    for kind in ["pid", "network", "mount", "ipc", "uts", "cgroup"] {
        let kinds = strings("/linux/namespaces");
        assert!(kinds.iter().any(|known| known == kind), "{kind}");
    }
    let capabilities = strings("/linux/capabilities");
    assert!(capabilities.iter().all(|name| name.starts_with("CAP_")));
    assert!(capabilities.contains(&"CAP_SYS_ADMIN".to_owned()));
    for path in [
        "/linux/cgroup/v1",
        "/linux/cgroup/v2",
        "/linux/cgroup/systemd",
        "/linux/cgroup/systemdUser",
        "/linux/seccomp/enabled",
        "/linux/apparmor/enabled",
        "/linux/selinux/enabled",
        "/linux/intelRdt/enabled",
        "/linux/mountExtensions/idmap/enabled",
    ] {
        let value = document.pointer(path);
        assert!(value.is_some_and(Value::is_boolean), "{path}");
    }
    let actions = strings("/linux/seccomp/actions");
    assert!(actions.iter().all(|name| name.starts_with("SCMP_ACT_")));
    for (path, name) in [
        ("operators", "SCMP_CMP_MASKED_EQ"),
        ("archs", "SCMP_ARCH_X86_64"),
        ("knownFlags", "SECCOMP_FILTER_FLAG_LOG"),
        ("supportedFlags", "SECCOMP_FILTER_FLAG_LOG"),
    ] {
        let list = strings(&format!("/linux/seccomp/{path}"));
        assert!(list.iter().any(|known| known == name), "{path}: {list:?}");
    }
    strings("/hooks");
    if !t.foreign() {
        let archs = strings("/linux/seccomp/archs");
        assert!(archs.iter().all(|name| name.starts_with("SCMP_ARCH_")));
        let supported = strings("/linux/seccomp/supportedFlags");
        let known = strings("/linux/seccomp/knownFlags");
        assert!(supported.iter().all(|flag| known.contains(flag)));
        let actions = strings("/linux/seccomp/actions");
        assert!(actions.contains(&"SCMP_ACT_NOTIFY".to_owned()));
        strings("/potentiallyUnsafeConfigAnnotations");
        let modes = strings("/linux/memoryPolicy/modes");
        assert!(modes.contains(&"MPOL_BIND".to_owned()), "{modes:?}");
        assert!(document.pointer("/linux/netDevices/enabled").is_some());
        assert_eq!(
            document["linux"]["mountExtensions"]["idmap"]["enabled"],
            true
        );
    }
    let annotations = document["annotations"].as_object().expect("an object");
    assert!(annotations.values().all(Value::is_string));
}

fn spec_writes_a_config(t: &T) {
    let dir = t.path("spec");
    fs::create_dir(&dir).unwrap();
    let name = dir.to_string_lossy();
    t.bare(&["spec", "--bundle", &name]).run().ok();
    let text = fs::read_to_string(dir.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["process"]["noNewPrivileges"], true);
    assert_eq!(config["root"], json!({"path": "rootfs", "readonly": true}));
    if !t.foreign() {
        assert!(
            config["process"]["capabilities"]["inheritable"].is_null(),
            "CVE-2022-29162"
        );
        assert_eq!(
            config["process"]["rlimits"],
            json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}])
        );
    }
    assert_eq!(
        config["linux"]["resources"]["devices"],
        json!([{"allow": false, "access": "rwm"}])
    );
    for kind in ["pid", "network", "ipc", "uts", "mount"] {
        let list = config["linux"]["namespaces"].as_array().unwrap();
        assert!(
            list.iter().any(|entry| entry["type"] == kind),
            "no {kind} namespace"
        );
    }
    for path in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/sys/firmware",
        "/proc/scsi",
    ] {
        let masked = config["linux"]["maskedPaths"].as_array().unwrap();
        assert!(
            masked.iter().any(|each| each == path),
            "{path} is not masked"
        );
    }
    assert!(text.starts_with("{\n\t\""), "indented with tabs");
    t.bare(&["spec", "--bundle", &name]).run().fails(&["exist"]);
    // Without --bundle: the current directory.
    let here = t.path("here");
    fs::create_dir(&here).unwrap();
    t.bare(&["spec"]).cwd(&here).run().ok();
    assert_eq!(fs::read_to_string(here.join("config.json")).unwrap(), text);
}

/// Nothing is left that would be in the way of the next try.
fn spec_on_a_full_disk(t: &T) {
    let dir = t.path("full");
    fs::create_dir(&dir).unwrap();
    crate::kernel::mount("full", &dir, "tmpfs", 0, "size=4096").unwrap();
    fs::write(dir.join("filler"), [0; 4096]).unwrap();
    let spec = t.bare(&["spec"]).cwd(&dir).run();
    spec.fails(&["no space left"]);
    let names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(names, ["filler"]);
    crate::kernel::unmount(&dir).unwrap();
}

fn spec_rootless(t: &T) {
    let dir = t.path("spec");
    fs::create_dir(&dir).unwrap();
    t.bare(&["spec", "--rootless"]).cwd(&dir).run().ok();
    let config: Value =
        serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
    let kinds: Vec<&str> = config["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["type"].as_str())
        .collect();
    assert!(
        kinds.contains(&"user") && !kinds.contains(&"network"),
        "{kinds:?}"
    );
    assert_eq!(
        config["linux"]["uidMappings"],
        json!([{"containerID": 0, "hostID": 0, "size": 1}])
    );
    assert!(config["linux"]["resources"].is_null());
    let text = config.to_string();
    assert!(text.contains("rbind") && !text.contains("gid=5"), "{text}");
}

fn spec_config_runs(t: &T) {
    let bundle = t.bundle();
    let name = bundle.dir.to_string_lossy();
    t.bare(&["spec", "--bundle", &name]).run().ok();
    let text = fs::read_to_string(bundle.dir.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!([
        "/bin/probe",
        "report",
        "--",
        "create",
        "/x",
        "--",
        "open",
        "/proc/kcore"
    ]);
    fs::write(bundle.dir.join("config.json"), config.to_string()).unwrap();
    let out = t.cmd(&["run", "-b", &name, &t.id()]).run();
    let lines = out.lines();
    assert_eq!(lines.len(), 3, "{}", out.stderr);
    assert_eq!(lines[1]["errno"], "EROFS");
    assert_eq!(lines[0]["nnp"], 1);
    let mut caps = lines[0]["caps"].clone();
    let expected = json!(["KILL", "NET_BIND_SERVICE", "AUDIT_WRITE"]);
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(caps[set].take(), expected, "{set}");
    }
    assert_eq!(lines[0]["rlimits"]["NOFILE"], json!([1024, 1024]));
}

fn state_root_is_private(t: &T) {
    for mask in [0o000, 0o077, 0o777] {
        let root = t.path(&format!("root-{mask:o}"));
        let bundle = t.bundle().probe(&["sleep"]);
        bundle.write();
        let (dir, name, id) = (bundle.dir.to_string_lossy(), root.to_string_lossy(), t.id());
        let out = t
            .bare(&["--root", &name, "create", "-b", &dir, &id])
            .before_exec(move || {
                // SAFETY: plain number.
                unsafe { libc::umask(mask) };
                Ok(())
            })
            .run()
            .ok();
        drop(out);
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let (outer, inner) = (mode(&root), mode(&root.join(&id)));
        t.bare(&["--root", &name, "delete", "--force", &id])
            .run()
            .ok();
        if !t.foreign() {
            assert_eq!(
                (outer, inner),
                (0o700, 0o700),
                "umask {mask:o}: {outer:o} {inner:o}"
            );
        }
    }
}

/// CVE-2015-1331 and CVE-2024-25621: nobody else may have a hand in the state root.
fn state_root_that_is_a_trap(t: &T) {
    if t.foreign() {
        return;
    }
    let real = t.path("real");
    fs::create_dir(&real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).unwrap();
    let bundle = t.bundle().probe(&["sleep"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy();
    let attempt = |root: &std::path::Path| {
        t.bare(&[
            "--root",
            &root.to_string_lossy(),
            "create",
            "-b",
            &dir,
            &t.id(),
        ])
        .run()
    };
    let open = t.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    attempt(&open).fails(&[]);
    let foreign = t.path("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&foreign, Some(1000), Some(1000)).unwrap();
    attempt(&foreign).fails(&[]);
    let link = t.path("link");
    symlink(&real, &link).unwrap();
    attempt(&link).fails(&[]);
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
}

fn missing_config(t: &T) {
    let dir = t.path("empty");
    fs::create_dir(&dir).unwrap();
    t.cmd(&["create", "-b", &dir.to_string_lossy(), &t.id()])
        .run()
        .fails(&["config.json"]);
    let nowhere = t.path("nowhere");
    t.cmd(&["create", "-b", &nowhere.to_string_lossy(), &t.id()])
        .run()
        .fails(&["no such file|nowhere"]);
}

fn console_socket_without_terminal(t: &T) {
    let bundle = t.bundle().probe(&["sleep"]);
    bundle
        .create_cmd(&t.id(), &["--console-socket", "/nowhere"])
        .run()
        .fails(&["console"]);
    let tty = t.bundle().edit(|c| c["process"]["terminal"] = json!(true));
    tty.create_cmd(&t.id(), &[]).run().fails(&["console|tty"]);
    tty.run_with(&["--detach"]).fails(&["console|tty"]);
}

fn debug_is_accepted(t: &T) {
    let bundle = t.bundle().probe(&["echo", "x"]);
    bundle.write();
    let dir = bundle.dir.to_string_lossy();
    let out = t.cmd(&["--debug", "run", "-b", &dir, &t.id()]).run().ok();
    assert_eq!(out.stdout, "x\n");
}

fn environment_of_the_caller_stays_out(t: &T) {
    let bundle = t.bundle();
    let (_, cmd) = bundle.run_cmd(&[]);
    let out = cmd
        .env("GOTRACEBACK", "x")
        .env("SECRET", "1")
        .env("XDG_RUNTIME_DIR", "/run/x")
        .env("_LIBCONTAINER_INITPIPE", "3")
        .run()
        .ok();
    assert_eq!(out.json()["env"], json!(["PATH=/bin", "HOME=/"]));
}
