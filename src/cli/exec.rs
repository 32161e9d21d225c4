//! `exec`: one more process in a container.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::create::{caller, preserve_fds, service};
use super::flags::{Parsed, Row};
use super::state::{CGROUPS, open_root};
use super::{Call, FAILED_BEFORE};
use crate::bundle::{self, Joining};
use crate::cgroup;
use crate::config::Names;
use crate::error::{At, Fault, Rule, Step};
use crate::limits::Limit;
use crate::plan::Plan;
use crate::plan::process::{Extra, Sets};
use crate::run::{self, ExecOrder};
use crate::state::{Status, boot, buffer};
use crate::text::{cut, number};
use rustix::thread::Gid;

/// `exec ID [COMMAND…]`: all its failures are 255, since the other codes are the program's.
pub(super) fn exec(call: &mut Call, section: &Row) -> Result<i32, Fault> {
    let code = join(call, section).unwrap_or_else(|fault| {
        call.voice.failure(fault);
        None
    });
    Ok(code.unwrap_or(FAILED_BEFORE))
}

/// `None` for a line that makes no sense.
fn join(call: &mut Call, section: &Row) -> Result<Option<i32>, Fault> {
    let service = service(call.args);
    let Some((preserve_fds, changes)) = read(call, section, service.sockets) else {
        return Ok(None);
    };
    run::protect(call.args, preserve_fds)?;
    let (args, parsed) = (call.args, &call.parsed);
    let caller = caller(parsed)?;
    let corrupt = Fault::rule(Step::ReadState, Rule::Corrupt, At::Nothing);
    let refuse = |rule| Err(Fault::rule(Step::JoinContainer, rule, At::Nothing));
    let root = open_root(call, Step::FindContainer)?;
    let dir = root.find(call.id)?;
    let record = dir.load(buffer().ok_or(corrupt)?)?;
    let Some(init) = record.find_init(boot(&mut [0; 36])?)? else {
        return refuse(Rule::ExecStopped);
    };
    let cgroups = CGROUPS.take().ok_or(corrupt)?;
    cgroups.decode(record.cgroup()).ok_or(corrupt)?;
    let patient = parsed.is_on("ignore-paused");
    if !patient && cgroup::frozen(cgroups) {
        return refuse(Rule::ExecPaused);
    }
    let status = if dir.awaits_start()? {
        Status::Created
    } else {
        Status::Running
    };
    let process = parsed.value("process");
    let words = |visit: Visit<'_>| (parsed.next..).map_while(|n| args.get(n)).for_each(visit);
    let env = |visit: Visit<'_>| parsed.each("env", section, visit);
    let below = |visit: Visit<'_>| parsed.each("cgroup", section, visit);
    let extra = Extra {
        args: Some(&words),
        env: &env,
    };
    let joining = Joining {
        dir: &dir,
        record,
        process,
        rootless: call.rootless(),
        service,
        extra: if process.is_some() {
            Extra::NONE
        } else {
            extra
        },
    };
    let mut change = |plan: &mut Plan| {
        if process.is_none() {
            changes.make(parsed, section, plan)?;
        }
        cgroup::aim(&mut plan.cgroup, cgroups, &below)
    };
    let plan = bundle::exec(joining, &mut change, &mut call.voice.scene)?;
    let mut order = ExecOrder {
        args,
        plan,
        init,
        status: status.text(),
        annotations: record.annotations(),
        caller,
        detach: parsed.is_on("detach"),
        reaper: !parsed.is_on("no-subreaper"),
        preserve_fds,
        patient,
        beside_init: parsed.value("cgroup").is_none(),
    };
    run::exec(&mut order).map(Some)
}

/// Who wants to see words of the command line.
type Visit<'v> = &'v mut dyn FnMut(&'static CStr);

/// What the flags change in the process of config.json.
struct Changes {
    user: Option<(u32, u32)>,
    capabilities: u64,
}

/// Reads the flags; `None` for what makes no sense.
fn read(call: &mut Call, section: &Row, sockets: u32) -> Option<(u32, Changes)> {
    let parsed = &mut call.parsed;
    let preserve_fds = preserve_fds(parsed, sockets)?;
    if parsed.value("process").is_none() && call.args.get(parsed.next).is_none() {
        parsed.misuse("exec needs a command, or --process", b"", b"", b"");
        return None;
    }
    let user = match parsed.value("user") {
        None => None,
        Some(text) => {
            let user = user(text.to_bytes());
            if user.is_none() {
                parsed.bad_value(text, "user", "UID or UID:GID in numbers");
            }
            Some(user?)
        }
    };
    let mut capabilities = 0;
    let known = |value: &CStr| Names::Capability.place(value.to_bytes());
    check(
        parsed,
        section,
        "cap",
        "the name of a capability",
        &mut |value| {
            capabilities |= 1 << known(value)?;
            Some(())
        },
    )?;
    check(parsed, section, "env", "NAME=VALUE", &mut |value| {
        let (name, _) = cut(value.to_bytes(), b'=');
        (!name.is_empty() && name.len() < value.to_bytes().len()).then_some(())
    })?;
    check(
        parsed,
        section,
        "additional-gids",
        "a number",
        &mut |value| id(value.to_bytes()).map(|_| ()),
    )?;
    if let Some(cwd) = parsed
        .value("cwd")
        .filter(|cwd| !cwd.to_bytes().starts_with(b"/"))
    {
        parsed.bad_value(cwd, "cwd", "an absolute path");
        return None;
    }
    let changes = Changes { user, capabilities };
    Some((preserve_fds, changes))
}

/// Whether all values of a flag make sense.
fn check(
    parsed: &mut Parsed,
    section: &Row,
    name: &'static str,
    allowed: &'static str,
    good: &mut dyn FnMut(&'static CStr) -> Option<()>,
) -> Option<()> {
    let mut wrong = None;
    parsed.each(name, section, &mut |value| {
        if good(value).is_none() {
            wrong = Some(value);
        }
    });
    let Some(value) = wrong else { return Some(()) };
    parsed.bad_value(value, name, allowed);
    None
}

/// `UID` or `UID:GID`; a whole one or none (CVE-2026-30892), and never a name (CVE-2016-3697).
fn user(text: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = cut(text, b':');
    let gid = if text.contains(&b':') { id(gid)? } else { 0 };
    Some((id(uid)?, gid))
}

/// A user or group; the highest number means "unchanged" to the kernel.
fn id(text: &[u8]) -> Option<u32> {
    let number = u32::try_from(number(text, 10)?).ok();
    number.filter(|number| *number != u32::MAX)
}

impl Changes {
    fn make(&self, parsed: &Parsed, section: &Row, plan: &mut Plan) -> Result<(), Fault> {
        let Plan { arena, process, .. } = plan;
        let given = |name| parsed.value(name).filter(|text| !text.is_empty());
        if let Some(profile) = given("apparmor") {
            arena.put(b"exec ");
            process.apparmor = Some(arena.push(profile.to_bytes()));
        }
        if let Some(label) = given("process-label") {
            process.selinux = Some(arena.push(label.to_bytes()));
        }
        process.terminal = parsed.is_on("tty");
        // It is as large as the caller's.
        process.console_size = None;
        if let Some(cwd) = parsed.value("cwd") {
            process.cwd = arena.push(cwd.to_bytes());
        }
        if parsed.is_given("no-new-privs") {
            process.no_new_privileges = parsed.is_on("no-new-privs");
        }
        if let Some((uid, gid)) = self.user {
            (process.uid, process.gid) = (uid, gid);
            process.groups.clear();
        }
        let mut room = Ok(());
        parsed.each("additional-gids", section, &mut |value| {
            if let Some(gid) = id(value.to_bytes())
                && process.groups.push(Gid::from_raw(gid)).is_err()
            {
                room = Err(Fault::limit(Step::MakePlan, Limit::GROUPS, At::Nothing));
            }
        });
        if self.capabilities != 0 {
            add(&mut process.capabilities, process.uid, self.capabilities);
        }
        room.and(arena.result())
    }
}

/// Adds capabilities to the sets that they are used from. What is inherited stays as it is (CVE-2022-29162), and ambient
/// are only those that can be inherited.
fn add(sets: &mut Sets, uid: u32, more: u64) {
    if !sets.given {
        let all = if uid == 0 { u64::MAX } else { 0 };
        *sets = Sets {
            given: true,
            bounding: u64::MAX,
            effective: all,
            permitted: all,
            ..*sets
        };
    }
    sets.bounding |= more;
    sets.effective |= more;
    sets.permitted |= more;
    sets.ambient |= more & sets.inheritable;
}

#[cfg(test)]
mod tests {
    use super::{Sets, add, user};

    #[test]
    fn users_are_numbers() {
        for (text, expected) in [
            ("1", Some((1, 0))),
            ("1:2", Some((1, 2))),
            ("0", Some((0, 0))),
            ("4294967294:4294967294", Some((u32::MAX - 1, u32::MAX - 1))),
            ("", None),
            (":", None),
            (":1", None),
            ("1:", None),
            ("1:2:3", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1x", None),
            ("root", None),
            ("4294967295", None),
            ("4294967296", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(user(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn added_capabilities() {
        let mut sets = Sets {
            given: true,
            bounding: 1,
            inheritable: 2,
            ..Sets::default()
        };
        add(&mut sets, 1000, 6);
        let wanted = Sets {
            given: true,
            bounding: 7,
            effective: 6,
            inheritable: 2,
            permitted: 6,
            ambient: 2,
        };
        assert_eq!(sets, wanted);
        let mut sets = Sets::default();
        add(&mut sets, 1000, 6);
        assert_eq!((sets.bounding, sets.permitted), (u64::MAX, 6));
    }
}
