//! `spec`: writes a config.json to start from. It is kept without white space and laid out on the way.
#![forbid(unsafe_code)]

use super::Call;
use crate::error::{At, Context, Errno, Fault, Place, Rule, Step};
use crate::say::Line;
use crate::sys::path;
use rustix::fs::{CWD, OFlags, statfs};
use rustix::process::{getegid, geteuid};

/// When a piece of the template is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Root,
    Rootless,
    /// On a host with cgroup v2 only: there the mount of cgroups shows the container its own part.
    Unified,
}

/// Stands for the caller's user and group in the template.
const USER: char = '@';
const GROUP: char = '^';

static TEMPLATE: [(When, &str); 14] = [
    (
        When::Always,
        r#"{"ociVersion":"1.3.0","process":{"terminal":true,"user":{"uid":0,"gid":0},"args":["sh"],"env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","TERM=xterm"],"cwd":"/","capabilities":{"bounding":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],"effective":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],"permitted":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"]},"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}],"noNewPrivileges":true},"root":{"path":"rootfs","readonly":true},"hostname":"ocilet","mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},{"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620""#,
    ),
    (When::Root, r#","gid=5""#),
    (
        When::Always,
        r#"]},{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev","mode=1777","size=65536k"]},{"destination":"/dev/mqueue","type":"mqueue","source":"mqueue","options":["nosuid","noexec","nodev"]},{"destination":"/sys","#,
    ),
    (When::Root, r#""type":"sysfs","source":"sysfs","options":["#),
    (
        When::Rootless,
        r#""type":"none","source":"/sys","options":["rbind","#,
    ),
    (
        When::Always,
        r#""nosuid","noexec","nodev","ro"]},{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["nosuid","noexec","nodev","relatime","ro"]}],"linux":{"#,
    ),
    (
        When::Rootless,
        r#""uidMappings":[{"containerID":0,"hostID":@,"size":1}],"gidMappings":[{"containerID":0,"hostID":^,"size":1}],"#,
    ),
    (
        When::Root,
        r#""resources":{"devices":[{"allow":false,"access":"rwm"}]},"#,
    ),
    (When::Always, r#""namespaces":[{"type":"pid"},"#),
    (When::Root, r#"{"type":"network"},"#),
    (
        When::Always,
        r#"{"type":"ipc"},{"type":"uts"},{"type":"mount"}"#,
    ),
    (When::Rootless, r#",{"type":"user"}"#),
    (When::Unified, r#",{"type":"cgroup"}"#),
    (
        When::Always,
        r#"],"maskedPaths":["/proc/acpi","/proc/asound","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/sys/firmware","/sys/devices/virtual/powercap","/proc/scsi"],"readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]}}"#,
    ),
];

/// `spec`.
pub(super) fn spec(call: &Call) -> Result<i32, Fault> {
    let at = At::Place(Place::ConfigFile);
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let bundle = call.parsed.value("bundle").unwrap_or(c".");
    let bundle = path::open(CWD, bundle, directory, 0).step_at(Step::OpenBundle, At::Nothing)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match path::open(&bundle, c"config.json", flags, 0o666) {
        Err(Errno::EXIST) => return Err(Fault::rule(Step::WriteSpec, Rule::FileExists, at)),
        opened => opened.step_at(Step::WriteSpec, at)?,
    };
    let mut buffer = [0; 1024];
    let mut line = Line::to(crate::sys::AsFd::as_fd(&file), &mut buffer);
    layout(&mut line, call.parsed.is_on("rootless"), is_unified());
    line.finish().step_at(Step::WriteSpec, at)?;
    Ok(0)
}

/// Whether the host has nothing but cgroup v2.
fn is_unified() -> bool {
    const CGROUP2: u64 = 0x6367_7270;
    statfs(c"/sys/fs/cgroup").is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(CGROUP2))
}

/// The template as indented text. Strings in it have no escapes, and no braces, brackets, colons, or commas that are
/// not followed by a quote.
fn layout(line: &mut Line<'_>, rootless: bool, unified: bool) {
    let pieces = TEMPLATE.iter().filter(|(when, _)| match when {
        When::Always => true,
        When::Root => !rootless,
        When::Rootless => rootless,
        When::Unified => unified,
    });
    let mut depth = 0_usize;
    let mut quoted = false;
    for character in pieces.flat_map(|(_, text)| text.chars()) {
        quoted ^= character == '"';
        let mut buffer = [0; 4];
        let text: &str = character.encode_utf8(&mut buffer);
        match character {
            _ if quoted => line.text(text),
            '{' | '[' => {
                depth = depth.saturating_add(1);
                line.text(text);
                new_line(line, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(line, depth);
                line.text(text);
            }
            ',' => {
                line.text(",");
                new_line(line, depth);
            }
            ':' => line.text(": "),
            USER => line.number(u64::from(geteuid().as_raw())),
            GROUP => line.number(u64::from(getegid().as_raw())),
            _ => line.text(text),
        }
    }
    line.text("\n");
}

fn new_line(line: &mut Line<'_>, depth: usize) {
    line.text("\n");
    for _ in 0..depth {
        line.text("\t");
    }
}

#[cfg(test)]
mod tests {
    use super::layout;
    use crate::say::Line;

    fn text(rootless: bool, unified: bool) -> String {
        let mut buffer = [0; 8192];
        let mut line = Line::new(&mut buffer);
        layout(&mut line, rootless, unified);
        String::from_utf8(line.into_bytes().to_vec()).unwrap()
    }

    #[test]
    fn begins_and_ends_as_expected() {
        let text = text(false, false);
        assert!(text.starts_with(
            "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n"
        ));
        assert!(text.contains(
            "\t\t\t\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\n"
        ));
        assert!(text.ends_with("\t\t\t\"/proc/sysrq-trigger\"\n\t\t]\n\t}\n}\n"));
    }

    #[test]
    fn variants() {
        let has = |text: &str, word: &str| text.contains(word);
        for unified in [false, true] {
            let (root, rootless) = (text(false, unified), text(true, unified));
            assert_eq!(
                (
                    has(&root, "\"cgroup\"\n\t\t\t}\n\t\t],"),
                    has(&rootless, "\"cgroup\"\n\t\t\t}\n\t\t],")
                ),
                (unified, unified)
            );
            for word in ["\"network\"", "\"gid=5\"", "\"sysfs\"", "\"resources\""] {
                assert!(has(&root, word) && !has(&rootless, word), "{word}");
            }
            for word in [
                "\"user\"\n",
                "\"rbind\"",
                "\"uidMappings\"",
                "\"gidMappings\"",
            ] {
                assert!(!has(&root, word) && has(&rootless, word), "{word}");
            }
            assert!(!has(&root, "@") && !has(&rootless, "^"));
        }
    }
}
