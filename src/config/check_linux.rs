//! Rules of the `linux` object that need only the document, and of `resources` as a document of its own.
#![forbid(unsafe_code)]

use super::Wrong;
use super::check::{absolute, mappings, numbers, text, that};
use super::names::{NamespaceKind, SeccompAction};
use super::pools::Pools;
use super::sysctl;
use super::types::{Config, IntelRdt, Linux, MemoryPolicy, NetDevice, Resources, Seccomp, Text};
use super::walk::find;
use crate::error::Rule;
use crate::limits::FULL;

/// The namespaces of a container: which there are, and which of these are joined.
#[derive(Clone, Copy, Default)]
pub(super) struct Kinds {
    there: u8,
    joined: u8,
}

impl Kinds {
    /// Whether there is an entry of this kind.
    pub(super) fn has(self, kind: NamespaceKind) -> bool {
        self.there & bit(kind) != 0
    }

    fn joins(self, kind: NamespaceKind) -> bool {
        self.joined & bit(kind) != 0
    }
}

fn bit(kind: NamespaceKind) -> u8 {
    1 << kind as u8
}

/// `linux`, and what outside of it needs a namespace.
pub(super) fn linux(doc: &[u8], pools: &Pools, config: &Config) -> Result<(), Wrong> {
    let mut kinds = Kinds::default();
    if let Some(linux) = &config.linux {
        for entry in linux.namespaces.of(&pools.namespaces) {
            that(!kinds.has(entry.kind), Rule::NamespaceTwice, entry.at)?;
            kinds.there |= bit(entry.kind);
            if let Some(path) = entry.path {
                absolute(doc, &[path])?;
                kinds.joined |= bit(entry.kind);
            }
        }
    }
    for name in [config.hostname, config.domainname].into_iter().flatten() {
        text(kinds.has(NamespaceKind::Uts), Rule::NeedsUts, name)?;
    }
    let Some(linux) = &config.linux else {
        return Ok(());
    };
    if !FULL {
        in_this_build(pools, linux)?;
    }
    namespaces(doc, pools, linux, kinds)?;
    devices(doc, pools, linux, kinds)?;
    if let Some(path) = linux.cgroups_path {
        text(!climbs(doc, path), Rule::CgroupsPath, path)?;
    }
    // The smallest program takes none of what is looked at there.
    if let Some(subject) = linux.resources.as_ref().filter(|_| FULL) {
        resources(doc, pools, subject)?;
    }
    for pair in linux.sysctl.of(&pools.sysctl) {
        sysctl::check(doc, *pair, kinds)?;
    }
    if let Some(subject) = &linux.seccomp {
        seccomp(doc, pools, subject)?;
    }
    if let Some(subject) = linux.intel_rdt.as_ref().filter(|_| FULL) {
        intel_rdt(doc, pools, subject)?;
    }
    match &linux.memory_policy {
        Some(subject) => memory_policy(doc, subject),
        None => Ok(()),
    }
}

/// What only makes sense in a certain namespace.
fn namespaces(doc: &[u8], pools: &Pools, linux: &Linux, kinds: Kinds) -> Result<(), Wrong> {
    let (uids, gids) = (
        linux.uid_mappings.of(&pools.id_mappings),
        linux.gid_mappings.of(&pools.id_mappings),
    );
    mappings(uids)?;
    mappings(gids)?;
    for mapping in uids.first().into_iter().chain(gids.first()) {
        that(kinds.has(NamespaceKind::User), Rule::NeedsUser, mapping.at)?;
    }
    for entry in linux.namespaces.of(&pools.namespaces) {
        let new_user = entry.kind == NamespaceKind::User && entry.path.is_none();
        let mapped = !uids.is_empty() && !gids.is_empty();
        that(!new_user || mapped, Rule::UserNeedsMappings, entry.at)?;
    }
    if let Some(offsets) = &linux.time_offsets
        && (offsets.boottime.is_some() || offsets.monotonic.is_some())
    {
        let new = kinds.has(NamespaceKind::Time) && !kinds.joins(NamespaceKind::Time);
        that(new, Rule::NeedsNewTime, offsets.at)?;
    }
    for list in [linux.masked_paths, linux.readonly_paths] {
        let paths = list.of(&pools.paths);
        absolute(doc, paths)?;
        if let Some(path) = paths.first() {
            text(kinds.has(NamespaceKind::Mount), Rule::NeedsMount, *path)?;
        }
    }
    Ok(())
}

fn devices(doc: &[u8], pools: &Pools, linux: &Linux, kinds: Kinds) -> Result<(), Wrong> {
    for device in linux.devices.of(&pools.devices) {
        absolute(doc, &[device.path])?;
    }
    for device in linux.net_devices.of(&pools.net_devices) {
        if !FULL {
            break;
        }
        let NetDevice { host, name, .. } = *device;
        text(kinds.has(NamespaceKind::Network), Rule::NeedsNetwork, host)?;
        for name in [Some(host), name].into_iter().flatten() {
            text(is_interface(doc, name), Rule::NetDeviceName, name)?;
        }
    }
    Ok(())
}

/// A name that the kernel's `dev_valid_name` takes (IFNAMSIZ is 16).
fn is_interface(doc: &[u8], name: Text) -> bool {
    let good = |byte: u8| byte != b'/' && byte != b':' && !byte.is_ascii_whitespace() && byte != 11;
    name.bytes(doc).count() < 16
        && name.bytes(doc).all(good)
        && !name.is(doc, b".")
        && !name.is(doc, b"..")
}

/// Whether a component of the path is "..".
fn climbs(doc: &[u8], path: Text) -> bool {
    let mut dots = Some(0_u8);
    for byte in path.bytes(doc) {
        dots = match (byte, dots) {
            (b'/', Some(2)) => return true,
            (b'/', _) => Some(0),
            (b'.', Some(seen @ 0..2)) => Some(seen + 1),
            _ => None,
        };
    }
    dots == Some(2)
}

/// `resources`, also alone.
pub(super) fn resources(doc: &[u8], pools: &Pools, subject: &Resources) -> Result<(), Wrong> {
    for limit in subject.hugepage_limits.of(&pools.hugepage_limits) {
        let size = limit.page_size;
        text(is_page_size(doc, size), Rule::PageSize, size)?;
    }
    for pair in subject.unified.of(&pools.unified) {
        let dots = pair.key.bytes(doc).all(|byte| byte == b'.');
        let good = !dots && !pair.key.has(doc, b'/');
        text(good, Rule::UnifiedKey, pair.key)?;
    }
    Ok(())
}

/// Digits without a leading zero, one of K, M and G, and B.
fn is_page_size(doc: &[u8], size: Text) -> bool {
    let mut digits = 0_u32;
    let mut letters = size.bytes(doc);
    loop {
        match letters.next() {
            Some(b'1'..=b'9') => digits += 1,
            Some(b'0') if digits > 0 => {}
            Some(b'K' | b'M' | b'G') => {
                return digits > 0 && letters.next() == Some(b'B') && letters.next().is_none();
            }
            _ => return false,
        }
    }
}

fn seccomp(doc: &[u8], pools: &Pools, subject: &Seccomp) -> Result<(), Wrong> {
    let takes_number = |action| matches!(action, SeccompAction::Errno | SeccompAction::Trace);
    let at = |key| find(doc, key).unwrap_or(subject.at);
    match subject.default_action {
        None => that(subject.rules.is_empty(), Rule::KeysSeccomp, subject.at)?,
        Some(SeccompAction::Notify) => that(
            false,
            Rule::SeccompNotify,
            at("linux.seccomp.defaultAction"),
        )?,
        Some(action) => that(
            takes_number(action) || subject.default_errno.is_none(),
            Rule::SeccompErrno,
            at("linux.seccomp.defaultErrnoRet"),
        )?,
    }
    if let Some(metadata) = subject.listener_metadata {
        let path = subject.listener_path.is_some();
        text(path, Rule::SeccompMetadata, metadata)?;
    }
    for rule in subject.rules.of(&pools.seccomp_rules) {
        let good = takes_number(rule.action) || rule.errno.is_none();
        that(good, Rule::SeccompErrno, rule.at)?;
    }
    Ok(())
}

/// What only the whole program has. Limits and the options of mounts are not known here.
fn in_this_build(pools: &Pools, linux: &Linux) -> Result<(), Wrong> {
    for device in linux.net_devices.of(&pools.net_devices) {
        text(false, Rule::NotInThisBuild, device.host)?;
    }
    match &linux.intel_rdt {
        Some(rdt) => that(false, Rule::NotInThisBuild, rdt.at),
        None => Ok(()),
    }
}

fn intel_rdt(doc: &[u8], pools: &Pools, subject: &IntelRdt) -> Result<(), Wrong> {
    if let Some(id) = subject.clos_id {
        let plain = !id.has(doc, b'/') && !id.is(doc, b".");
        let good = (plain && !id.is(doc, b"..")) || id.is(doc, b"/");
        text(good, Rule::ClosId, id)?;
    }
    for (schema, prefix) in [
        (subject.l3_cache_schema, b"L3".as_slice()),
        (subject.mem_bw_schema, b"MB:"),
    ] {
        let Some(schema) = schema else { continue };
        let one_line = !schema.has(doc, b'\n');
        let named = schema
            .bytes(doc)
            .take(prefix.len())
            .eq(prefix.iter().copied());
        text(one_line && named, Rule::RdtSchema, schema)?;
    }
    for line in subject.schemata.of(&pools.schemata) {
        text(!line.has(doc, b'\n'), Rule::RdtSchema, *line)?;
    }
    Ok(())
}

fn memory_policy(doc: &[u8], subject: &MemoryPolicy) -> Result<(), Wrong> {
    const DEFAULT: u8 = 0;
    const PREFERRED: u8 = 1;
    const LOCAL: u8 = 4;
    let good = match subject.mode {
        DEFAULT | LOCAL => subject.nodes.is_none(),
        PREFERRED => true,
        _ => subject.nodes.is_some(),
    };
    that(good, Rule::MemPolicyNodes, subject.at)?;
    numbers(doc, subject.nodes)
}
