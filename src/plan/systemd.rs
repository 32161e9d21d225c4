//! What is asked of systemd: the unit, where its slice puts the cgroup, and the properties.
//!
//! `linux.cgroupsPath` is `slice:prefix:name`; the unit is prefix-name.scope in that slice, or `name` itself where that
//! ends with ".slice". Limits are properties as far as systemd knows them, so that it keeps them; all of them are written
//! to the cgroup's files as well.
#![forbid(unsafe_code)]

mod variant;

use super::arena::{Arena, Str};
use super::bits::{self, NO_CPUS};
use super::limits::{self, Subject, signed, weight};
use super::make::{Request, Source};
use crate::cgroup::dbus::Body;
use crate::cgroup::{Mode, Unit, UnitPlan};
use crate::config::{Pair, Text};
use crate::error::{At, Fault, Rule, Step};
use crate::limits::Limit;
use crate::text::{cut, number, pieces};

/// Longest name of a unit.
const NAME: usize = 255;
/// Annotations that start so are properties.
const ANNOTATION: &[u8] = b"org.systemd.property.";

/// The unit of a container and the path of its cgroup, as texts in the arena.
#[derive(Clone, Copy)]
pub(super) struct Named {
    slice: Str,
    unit: Str,
    /// Below each mount point.
    pub(super) path: Str,
}

/// Reads `slice:prefix:name`; what is not there is a default.
pub(super) fn name(
    path: Option<Text>,
    doc: &[u8],
    (id, uid): (&[u8], u32),
    arena: &mut Arena,
) -> Result<Named, Rule> {
    match path {
        Some(path) => path.bytes(doc).for_each(|byte| arena.add(byte)),
        None => {
            arena.put(b":ocilet:");
            arena.put(id);
        }
    }
    let whole = arena.close(At::Nothing);
    // Three parts with their lengths: the arena is written to while they are read.
    let (mut parts, mut count, mut start) = ([Str::EMPTY; 3], 0_usize, whole.at);
    for piece in pieces(arena.bytes(whole), b':') {
        let len = u32::try_from(piece.len()).unwrap_or(0);
        if let Some(part) = parts.get_mut(count) {
            *part = Str { at: start, len };
        }
        start += len + 1;
        count += 1;
    }
    let [slice, prefix, name] = parts.map(|part| copy(arena, part));
    if count != 3 || name.is_empty() {
        return Err(Rule::UnitPath);
    }
    let slice = match slice.is_empty() {
        true if uid == 0 => arena.push(b"system.slice"),
        true => arena.push(b"user.slice"),
        false => slice,
    };
    let unit = if arena.bytes(name).ends_with(b".slice") {
        name
    } else {
        arena.put_again(prefix);
        if !prefix.is_empty() {
            arena.add(b'-');
        }
        arena.put_again(name);
        arena.put(b".scope");
        arena.close(At::Nothing)
    };
    if unit.len as usize > NAME || arena.bytes(unit).contains(&b'/') {
        return Err(Rule::UnitName);
    }
    if uid != 0 {
        // The manager of a user has a cgroup of this name, whoever asks for it from where.
        arena.put(b"/user.slice/user-");
        arena.put_number(i64::from(uid));
        arena.put(b".slice/user@");
        arena.put_number(i64::from(uid));
        arena.put(b".service");
    }
    expand(slice, arena).ok_or(Rule::UnitSlice)?;
    arena.add(b'/');
    arena.put_again(unit);
    let path = arena.close(At::Nothing);
    Ok(Named { slice, unit, path })
}

/// A part of a text of the arena as one of its own.
fn copy(arena: &mut Arena, text: Str) -> Str {
    arena.put_again(text);
    arena.close(At::Nothing)
}

/// a-b.slice is in a.slice; -.slice is the root.
fn expand(slice: Str, arena: &mut Arena) -> Option<()> {
    let name = arena.bytes(slice);
    let stem = name.strip_suffix(b".slice")?;
    let ends = stem.starts_with(b"-") || stem.ends_with(b"-");
    if stem == b"-" {
        return Some(());
    }
    if ends || stem.is_empty() || stem.contains(&b'/') || stem.windows(2).any(|it| it == b"--") {
        return None;
    }
    let len = u32::try_from(stem.len()).ok()?;
    for end in 1..=len {
        let byte = arena.from(slice).get(end as usize).copied();
        if end == len || byte == Some(b'-') {
            arena.add(b'/');
            arena.put_again(Str { len: end, ..slice });
            arena.put(b".slice");
        }
    }
    Some(())
}

/// Fills in the properties.
///
/// # Errors
///
/// An annotation that is none; the capacity UNIT_BYTES.
pub(super) fn properties(
    named: Named,
    source: Source<'_>,
    request: Request<'_>,
    (mode, subject): (Mode, Option<Subject<'_>>),
    (arena, unit): (&Arena, &mut UnitPlan),
) -> Result<(), Fault> {
    let slice = arena.bytes(named.slice);
    let mut body = Body::new(&mut unit.bytes, 0);
    body.text(b"Description", request.id);
    if arena.bytes(named.unit).ends_with(b".slice") {
        unit.kind = Unit::Slice;
        body.property(b"Wants", b"as");
        let list = body.open(4);
        body.string(slice);
        body.close(list);
    } else {
        unit.kind = Unit::Scope;
        body.text(b"Slice", slice);
        body.number(b"Delegate", b'b', 1);
    }
    let (old, new) = (b"BlockIOAccounting", b"IOAccounting");
    let io = if mode == Mode::V2 { &new[..] } else { old };
    for name in pieces(b"Memory CPU Tasks", b' ') {
        body.name(&[name, b"Accounting"], b"b");
        body.u32(1);
    }
    body.number(io, b'b', 1);
    body.number(b"DefaultDependencies", b'b', 0);
    for pair in source.config.annotations.of(&source.pools.annotations) {
        annotation([pair.key, pair.value], source.doc, &mut body)?;
    }
    let full = Fault::limit(Step::PlanCgroup, Limit::UNIT_BYTES, At::Nothing);
    unit.basic = body.used().ok_or(full)?;
    unit.all = unit.basic;
    match subject {
        Some(subject) => limits(subject, unit),
        None => Ok(()),
    }
}

/// Adds the limits as properties behind those that are there: of `update`, none. What has a value there has the same in
/// the files, or systemd would set another one at its next look.
///
/// # Errors
///
/// The capacity UNIT_BYTES.
pub fn limits(subject: Subject<'_>, unit: &mut UnitPlan) -> Result<(), Fault> {
    let full = Fault::limit(Step::PlanCgroup, Limit::UNIT_BYTES, At::Nothing);
    let Subject {
        resources: all,
        pools,
        doc,
        mode,
        ..
    } = subject;
    let v2 = mode == Mode::V2;
    let mut body = Body::new(&mut unit.bytes, unit.all);
    let memory = all.memory.unwrap_or_default();
    let cpu = all.cpu.unwrap_or_default();
    // What is wrong with it is told where the files are planned.
    let swap = limits::swap(&memory, subject.memory).unwrap_or(None);
    let period = signed(cpu.period.unwrap_or(0));
    // Per second, in steps of ten milliseconds.
    let quota = match cpu.quota.unwrap_or(0) {
        quota @ 1.. => {
            let share =
                quota.saturating_mul(1_000_000) / if period == 0 { 100_000 } else { period };
            share.saturating_add(9_999) / 10_000 * 10_000
        }
        none => none,
    };
    let names = if v2 {
        "TasksMax MemoryMax MemorySwapMax MemoryLow IOWeight CPUWeight CPUQuotaPerSecUSec"
    } else {
        "TasksMax MemoryLimit - - BlockIOWeight CPUShares CPUQuotaPerSecUSec"
    };
    let values = [
        all.pids.as_ref().map_or(0, limits::tasks),
        memory.limit.unwrap_or(0),
        swap.unwrap_or(0),
        memory.reservation.unwrap_or(0),
        weight::of_io(all.block_io.and_then(|io| io.weight), mode),
        weight::of_cpu(&cpu, mode),
        quota,
    ];
    for (name, value) in pieces(names.as_bytes(), b' ').zip(values) {
        if value != 0 && name != b"-" {
            // The highest number is no limit.
            body.number(name, b't', u64::try_from(value).unwrap_or(u64::MAX));
        }
    }
    for pair in all.unified.of(&pools.unified) {
        unified(*pair, doc, &mut body);
    }
    unit.basic = body.used().ok_or(full)?;
    // 0 is a value since version 240.
    if v2 && swap == Some(0) {
        body.number(b"MemorySwapMax", b't', 0);
    }
    // Those of versions 242 and 244.
    if period != 0 {
        body.number(b"CPUQuotaPeriodUSec", b't', period.unsigned_abs());
    }
    for (name, list) in [
        (&b"AllowedCPUs"[..], cpu.cpus),
        (b"AllowedMemoryNodes", cpu.mems),
    ] {
        if let Some(list) = list {
            mask(name, list, doc, &mut body);
        }
    }
    unit.all = body.used().ok_or(full)?;
    Ok(())
}

/// Files of `unified` that systemd would set to something else at its next look at the unit, and its words for them.
const OF_FILES: &[u8] =
    b"memory.min MemoryMin|memory.low MemoryLow|memory.high MemoryHigh|memory.max MemoryMax|\
memory.swap.max MemorySwapMax|pids.max TasksMax|cpu.weight CPUWeight";

/// One of them as a property. What is neither a number nor "max" is the kernel's to judge.
fn unified(pair: Pair, doc: &[u8], body: &mut Body<'_>) {
    let mut text = [0; 32];
    let value = match decoded(pair.value, doc, &mut text) {
        b"max" => Some(u64::MAX),
        digits => number(digits, 10),
    };
    for row in pieces(OF_FILES, b'|') {
        let (file, name) = cut(row, b' ');
        if let Some(value) = value.filter(|_| pair.key.is(doc, file)) {
            body.number(name, b't', value);
        }
    }
}

/// A list of CPUs or nodes as bytes, lowest bit first. What is no list is the kernel's to judge.
fn mask(name: &[u8], list: Text, doc: &[u8], body: &mut Body<'_>) {
    let mut bits = NO_CPUS;
    if bits::list(list.bytes(doc), &mut bits).is_none() {
        return;
    }
    let used = bits.iter().rposition(|word| *word != 0);
    body.property(name, b"ay");
    let array = body.open(1);
    for word in bits.get(..=used.unwrap_or(0)).unwrap_or_default() {
        body.put(&word.to_le_bytes());
    }
    body.close(array);
}

/// `org.systemd.property.NAME`: a value as text, with its type.
fn annotation(pair: [Text; 2], doc: &[u8], body: &mut Body<'_>) -> Result<(), Fault> {
    let [key, value] = pair;
    let mut name = [0; 128];
    let Some(name) = decoded(key, doc, &mut name).strip_prefix(ANNOTATION) else {
        return Ok(());
    };
    if name.len() < 3 || !name.iter().all(u8::is_ascii_alphabetic) {
        return Err(Fault::rule(
            Step::PlanCgroup,
            Rule::PropertyName,
            key.place(),
        ));
    }
    let mut text = [0; 1024];
    let text = decoded(value, doc, &mut text);
    let added = variant::property(name, text, body);
    added.ok_or(Fault::rule(
        Step::PlanCgroup,
        Rule::PropertyValue,
        value.place(),
    ))
}

/// As much of a text as fits.
fn decoded<'b>(text: Text, doc: &[u8], buffer: &'b mut [u8]) -> &'b [u8] {
    let mut len = 0;
    for (slot, byte) in buffer.iter_mut().zip(text.bytes(doc)) {
        *slot = byte;
        len += 1;
    }
    buffer.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests;
