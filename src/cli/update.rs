//! `update`: other limits for a container that is there. Flags become the JSON that `--resources` would bring, so that
//! both are read, checked and applied by the same code.
#![forbid(unsafe_code)]

use super::alive::{refuse, with};
use super::flags::Parsed;
use super::{Call, FAILED};
use crate::bundle::{DOC, PLAN, POOLS};
use crate::cgroup;
use crate::config;
use crate::error::{At, Context, Fault, Rule, Step};
use crate::limits::{CONFIG_BYTES, Limit};
use crate::plan::limits::{self, Subject};
use crate::plan::systemd;
use crate::rdt;
use crate::say::{Line, Voice};
use crate::state::Status;
use crate::sys::file::{read_whole, stdin};
use crate::sys::path;
use crate::text::{cut, number, pieces};
use core::ffi::CStr;
use rustix::fs::{CWD, OFlags};

/// Which flag is which value: the object, the key in it, the flag. A key behind a `$` is a text, one behind a `*` a
/// number of bytes.
const FLAGS: &[u8] = b"memory *limit memory|memory *reservation memory-reservation|memory *swap memory-swap|\
cpu shares cpu-share|cpu quota cpu-quota|cpu period cpu-period|cpu burst cpu-burst|cpu idle cpu-idle|\
cpu realtimePeriod cpu-rt-period|cpu realtimeRuntime cpu-rt-runtime|cpu $cpus cpuset-cpus|cpu $mems cpuset-mems|\
pids limit pids-limit|blockIO weight blkio-weight";

/// `update ID`.
pub(super) fn update(call: &mut Call) -> Result<i32, Fault> {
    let never = Fault::rule(Step::ReadResources, Rule::Never, At::Nothing);
    let (doc, plan) = (DOC.take().ok_or(never)?, PLAN.take().ok_or(never)?);
    let pools = POOLS.take().ok_or(never)?;
    let length = match call.parsed.value("resources") {
        Some(path) => {
            call.voice.scene.name = path.to_bytes();
            read(path, doc)?
        }
        None => match from_flags(&mut call.parsed, doc) {
            Some(length) => length,
            None => return Ok(FAILED),
        },
    };
    let doc: &'static [u8] = doc.get(..length).unwrap_or_default();
    call.voice.scene.document = doc;
    let lines = ["l3-cache-schema", "mem-bw-schema"].map(|flag| call.parsed.value(flag));
    let resources = config::read_resources(doc, pools)?;
    plan.cgroup.limits.policy = call.cgroup_policy.unwrap_or_default();
    let mut plan = Some(plan);
    let mut scene = call.voice.scene;
    let updated = with(call, true, &mut |found| {
        if found.status == Status::Stopped {
            return refuse(Step::SetLimit, Rule::NotRunning);
        }
        let plan = plan.take().ok_or(never)?;
        plan.cgroup.mode = found.cgroups.mode;
        plan.cgroup
            .hierarchies
            .copy_from(&found.cgroups.hierarchies);
        let swap = resources.memory.and_then(|memory| memory.swap);
        let subject = Subject {
            resources: &resources,
            pools,
            doc,
            mode: plan.cgroup.mode,
            memory: swap.and_then(|_| cgroup::memory_limit(found.cgroups)),
        };
        let into = &mut plan.cgroup;
        limits::make(
            subject,
            &into.hierarchies,
            &mut plan.arena,
            &mut into.limits,
        );
        systemd::limits(subject, &mut plan.cgroup.unit)?;
        for line in lines.iter().flatten() {
            plan.arena.put(line.to_bytes());
            plan.arena.add(b'\n');
        }
        let schemata = plan.arena.close(At::Nothing);
        let planned = plan.arena.result();
        let plan = &*plan;
        scene.plan = Some(plan);
        planned?;
        let voice = Voice {
            scene,
            ..call.voice
        };
        if !schemata.is_empty() {
            rdt::change(found.dir, plan.arena.bytes(schemata))?;
        }
        let mut warn = |fault| voice.warning_about(voice.id, fault);
        cgroup::change(&plan.cgroup, &plan.arena, found.cgroups, &mut warn).map(|()| 0)
    });
    call.voice.scene = scene;
    updated
}

/// Reads the document at a path, or from standard input.
fn read(path: &'static CStr, doc: &mut [u8]) -> Result<usize, Fault> {
    let read = if path == c"-" {
        read_whole(stdin(), doc)
    } else {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        path::open(CWD, path, flags, 0).and_then(|file| read_whole(file, doc))
    };
    let length = read.step(Step::ReadResources)?;
    if length == CONFIG_BYTES {
        let limit = Limit::CONFIG_BYTES;
        return Err(Fault::limit(Step::ReadResources, limit, At::Nothing));
    }
    Ok(length)
}

/// Writes the document that says what the flags do; `None` for a value that makes no sense.
fn from_flags(parsed: &mut Parsed, doc: &mut [u8]) -> Option<usize> {
    let mut line = Line::new(doc);
    line.text("{");
    let mut group = &b""[..];
    for row in pieces(FLAGS, b'|') {
        let (object, rest) = cut(row, b' ');
        let (key, flag) = cut(rest, b' ');
        let Some(value) = parsed.value_of(flag) else {
            continue;
        };
        if object == group {
            line.text(",");
        } else {
            line.text(if group.is_empty() { "" } else { "}," });
            line.fill("\"%\":{", &[object]);
            group = object;
        }
        let (kind, key) = match key {
            [kind @ (b'*' | b'$'), key @ ..] => (*kind, key),
            key => (b' ', key),
        };
        line.fill("\"%\":", &[key]);
        if kind == b'$' {
            line.text("\"");
            line.escaped(value.to_bytes());
            line.text("\"");
            continue;
        }
        let (sign, digits) = match value.to_bytes() {
            [b'-', digits @ ..] => ("-", digits),
            digits => ("", digits),
        };
        let number = match kind {
            b'*' => bytes(digits),
            _ => number(digits, 10),
        };
        let Some(number) = number else {
            parsed.misuse(
                "invalid value \"%\" for flag -%: a number is needed",
                value.to_bytes(),
                flag,
                b"",
            );
            return None;
        };
        line.text(sign);
        line.number(number);
    }
    line.text(if group.is_empty() { "}" } else { "}}" });
    Some(line.bytes().len())
}

/// A number of bytes: `64m`, `1G`, `2gb`, `3MiB`.
fn bytes(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at_checked(digits)?;
    let unit = unit
        .strip_suffix(b"b")
        .or(unit.strip_suffix(b"B"))
        .unwrap_or(unit);
    let unit = unit.strip_suffix(b"i").unwrap_or(unit);
    let shift = match unit {
        [] => 0,
        [b'k' | b'K'] => 10,
        [b'm' | b'M'] => 20,
        [b'g' | b'G'] => 30,
        [b't' | b'T'] => 40,
        _ => return None,
    };
    number(digits, 10)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("4k", Some(4096)),
            ("1M", Some(1 << 20)),
            ("2gb", Some(2 << 30)),
            ("1TiB", Some(1 << 40)),
            ("7b", Some(7)),
            ("", None),
            ("k", None),
            ("1x", None),
            ("1.5g", None),
            ("18446744073709551615k", None),
        ] {
            assert_eq!(bytes(text.as_bytes()), size, "{text}");
        }
    }
}
