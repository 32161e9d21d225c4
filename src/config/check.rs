//! Rules that need only the document, but more than one value of it: what runc refuses before it asks the kernel.
//! The `linux` object has its own file, `check_linux`.
#![forbid(unsafe_code)]

use super::pools::Pools;
use super::types::{Config, Hooks, IdMapping, Process, Scheduler, Text};
use super::{Wrong, broken, check_linux, full};
use crate::error::Rule;
use crate::limits::{self, Limit};

/// Ok, or the rule at the byte.
pub(super) fn that(good: bool, rule: Rule, at: u32) -> Result<(), Wrong> {
    if good {
        return Ok(());
    }
    Err(broken(rule, at as usize))
}

/// As [`that`], about a text.
pub(super) fn text(good: bool, rule: Rule, text: Text) -> Result<(), Wrong> {
    that(good, rule, text.start() - 1)
}

/// Every text must be an absolute path.
pub(super) fn absolute(doc: &[u8], texts: &[Text]) -> Result<(), Wrong> {
    for path in texts {
        text(path.starts_with(doc, b'/'), Rule::NotAbsolute, *path)?;
    }
    Ok(())
}

/// A list of numbers and ranges, as for CPUs and memory nodes: digits, commas, minus signs and spaces.
pub(super) fn numbers(doc: &[u8], list: Option<Text>) -> Result<(), Wrong> {
    let Some(list) = list else { return Ok(()) };
    let good = |byte| matches!(byte, b'0'..=b'9' | b',' | b'-' | b' ');
    text(list.bytes(doc).all(good), Rule::CpuList, list)
}

/// Mappings that the kernel could take: not empty, and not beyond the last id.
pub(super) fn mappings(entries: &[IdMapping]) -> Result<(), Wrong> {
    for entry in entries {
        let good = entry.size > 0
            && entry.container.checked_add(entry.size).is_some()
            && entry.host.checked_add(entry.size).is_some();
        that(good, Rule::MappingSize, entry.at)?;
    }
    Ok(())
}

/// The whole document.
pub(super) fn config(doc: &[u8], pools: &Pools, config: &Config) -> Result<(), Wrong> {
    if let Some(subject) = &config.process {
        process(doc, pools, subject)?;
    }
    for mount in &pools.mounts {
        let (uids, gids) = (mount.uid_mappings, mount.gid_mappings);
        that(
            uids.is_empty() == gids.is_empty(),
            Rule::MappingPair,
            mount.at,
        )?;
        mappings(uids.of(&pools.id_mappings))?;
        mappings(gids.of(&pools.id_mappings))?;
    }
    if let Some(subject) = &config.hooks {
        hooks(doc, pools, subject)?;
    }
    check_linux::linux(doc, pools, config)
}

/// The process, also alone.
pub(super) fn process(doc: &[u8], pools: &Pools, process: &Process) -> Result<(), Wrong> {
    let cwd = process.cwd;
    text(cwd.starts_with(doc, b'/'), Rule::CwdNotAbsolute, cwd)?;
    let mut bytes = 0;
    for arg in process.args.of(&pools.args) {
        room_for(doc, *arg, &mut bytes)?;
    }
    for entry in process.env.of(&pools.env) {
        let mut letters = entry.bytes(doc);
        let named = letters.next().is_some_and(|first| first != b'=');
        let good = named && letters.any(|byte| byte == b'=');
        text(good, Rule::EnvEntry, *entry)?;
        room_for(doc, *entry, &mut bytes)?;
    }
    let mut seen = 0_u32;
    for rlimit in process.rlimits.of(&pools.rlimits) {
        let bit = 1 << rlimit.resource;
        that(seen & bit == 0, Rule::RlimitTwice, rlimit.at)?;
        seen |= bit;
        that(rlimit.soft <= rlimit.hard, Rule::RlimitSoft, rlimit.at)?;
    }
    if let Some(subject) = &process.scheduler {
        scheduler(subject)?;
    }
    if let Some(affinity) = &process.exec_cpu_affinity {
        numbers(doc, affinity.initial)?;
        numbers(doc, affinity.last)?;
    }
    Ok(())
}

/// Counts a string of args or env with its NUL.
fn room_for(doc: &[u8], string: Text, bytes: &mut usize) -> Result<(), Wrong> {
    let raw = string.raw(doc);
    let decoded = if raw.contains(&b'\\') {
        string.bytes(doc).count()
    } else {
        raw.len()
    };
    *bytes += decoded + 1;
    if *bytes > limits::ARG_BYTES {
        return Err(full(Limit::ARG_BYTES, string.quote()));
    }
    Ok(())
}

/// Parameters that sched_setattr(2) would ignore or refuse for the policy.
fn scheduler(subject: &Scheduler) -> Result<(), Wrong> {
    const OTHER: u8 = 0;
    const FIFO: u8 = 1;
    const RR: u8 = 2;
    const BATCH: u8 = 3;
    const DEADLINE: u8 = 6;
    let at = subject.at;
    let nice = matches!(subject.policy, OTHER | BATCH) || subject.nice == 0;
    that(nice, Rule::SchedulerNice, at)?;
    let priority = matches!(subject.policy, FIFO | RR) || subject.priority == 0;
    that(priority, Rule::SchedulerPriority, at)?;
    let none = subject.runtime == 0 && subject.deadline == 0 && subject.period == 0;
    that(
        subject.policy == DEADLINE || none,
        Rule::SchedulerDeadline,
        at,
    )
}

fn hooks(doc: &[u8], pools: &Pools, hooks: &Hooks) -> Result<(), Wrong> {
    for list in hooks.all() {
        for hook in list.of(&pools.hooks) {
            absolute(doc, &[hook.path])?;
        }
    }
    Ok(())
}
