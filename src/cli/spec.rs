//! `spec`: writes a config.json to start from. It is kept without white space and laid out on the way.
//!
//! `spec.txt` is its text in pieces, a line each. The first character of a line says when it is written: `a`lways, by
//! `r`oot, by others (`l`), or `u` on a host with cgroup v2 only, where the mount of cgroups shows the container its own
//! part.
#![forbid(unsafe_code)]

use super::Call;
use super::layout::Layout;
use crate::error::{At, Context, Errno, Fault, Place, Rule, Step, packed};
use crate::say::Line;
use crate::sys::path;
use rustix::fs::{AtFlags, CWD, OFlags, statfs, unlinkat};
use rustix::process::{getegid, geteuid};

/// Stands for the caller's user and group in the template.
const USER: char = '@';
const GROUP: char = '^';

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
    // Half of it is of no use, and would be in the way of the next try.
    let written = line.finish().inspect_err(|_| {
        let _ = unlinkat(&bundle, c"config.json", AtFlags::empty());
    });
    written.step_at(Step::WriteSpec, at)?;
    Ok(0)
}

/// Whether the host has nothing but cgroup v2.
fn is_unified() -> bool {
    const CGROUP2: u64 = 0x6367_7270;
    statfs(c"/sys/fs/cgroup").is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(CGROUP2))
}

/// The template as indented text.
fn layout(line: &mut Line<'_>, rootless: bool, unified: bool) {
    let mut layout = Layout::new(line, "\t");
    for number in 0.. {
        let mut piece = packed::line(packed::Spec, number).chars();
        let wanted = match piece.next() {
            Some('r') => !rootless,
            Some('l') => rootless,
            Some('u') => unified,
            Some(_) => true,
            None => break,
        };
        for character in piece.filter(|_| wanted) {
            match character {
                USER => layout.line.number(u64::from(geteuid().as_raw())),
                GROUP => layout.line.number(u64::from(getegid().as_raw())),
                plain => layout.put(plain),
            }
        }
    }
    line.text("\n");
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
