//! From a checked document and the facts about the host to a [`Plan`]: the table of contents.
#![forbid(unsafe_code)]

use super::arena::Arena;
use super::process::Seen;
use super::route::push;
use super::{Plan, cgroup, mounts, process, route};
use crate::cgroup::{Layout, Manager};
use crate::config::{Config, Pools, Text};
use crate::error::{At, Fault, Rule, Step};

/// What the command line adds to the document.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The container's name.
    pub id: &'a [u8],
    /// Absolute path of the bundle.
    pub bundle: &'a [u8],
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// `--cgroup-manager`, `--systemd-cgroup`.
    pub cgroup_manager: Manager,
}

/// The document, its lists and its bytes.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// What it says.
    pub config: &'a Config,
    /// Its lists.
    pub pools: &'a Pools,
    /// Its bytes.
    pub doc: &'a [u8],
}

/// Fills an empty plan.
///
/// # Errors
///
/// What cannot be done, at its place in the document; a capacity.
pub fn make(
    request: Request<'_>,
    source: Source<'_>,
    layout: &Layout,
    seen: &mut Seen,
    plan: &mut Plan,
) -> Result<(), Fault> {
    let Source { config, pools, doc } = source;
    refuse_later(config)?;
    plan.id = plan.arena.push(request.id)?;
    plan.bundle = plan.arena.push(request.bundle)?;
    if request.no_pivot {
        plan.root.way = mounts::Way::Move;
    }
    rootfs(config, doc, request.bundle, plan)?;
    route::make(config, pools, doc, &mut plan.arena, &mut plan.namespaces)?;
    plan.hostname = optional(&mut plan.arena, config.hostname, doc)?;
    plan.domainname = optional(&mut plan.arena, config.domainname, doc)?;
    if !request.no_new_keyring {
        plan.keyring = Some(
            plan.arena
                .push_iter(b"_ses.".iter().chain(request.id).copied())?,
        );
    }
    sysctls(source, plan)?;
    cgroup::make(
        source,
        request.id,
        request.cgroup_manager,
        layout,
        &mut plan.arena,
        &mut plan.cgroup,
    )?;
    mounts::make(source, plan)?;
    process::make(config, pools, doc, &mut plan.arena, seen, &mut plan.process)
}

/// Refuses what later versions do: never silence.
fn refuse_later(config: &Config) -> Result<(), Fault> {
    let no = |rule, at| Err(Fault::rule(Step::MakePlan, rule, at));
    if let Some(hooks) = &config.hooks {
        let lists = [
            hooks.prestart,
            hooks.create_runtime,
            hooks.create_container,
            hooks.start_container,
            hooks.poststart,
            hooks.poststop,
        ];
        if lists.iter().any(|list| !list.is_empty()) {
            return no(Rule::LaterHooks, At::Byte(hooks.at));
        }
    }
    let Some(linux) = &config.linux else {
        return Ok(());
    };
    if let Some(seccomp) = &linux.seccomp {
        return no(Rule::LaterSeccomp, At::Byte(seccomp.at));
    }
    if let Some(label) = linux.mount_label {
        return no(Rule::LaterLabel, label.place());
    }
    if let Some(rdt) = &linux.intel_rdt {
        return no(Rule::LaterIntelRdt, At::Byte(rdt.at));
    }
    if !linux.net_devices.is_empty() {
        return no(Rule::LaterNetDevices, At::Byte(linux.at));
    }
    Ok(())
}

/// `root.path`, absolute or below the bundle.
fn rootfs(config: &Config, doc: &[u8], bundle: &[u8], plan: &mut Plan) -> Result<(), Fault> {
    let Some(root) = &config.root else {
        return Err(Fault::rule(Step::MakePlan, Rule::RootMissing, At::Nothing));
    };
    let prefix: &[u8] = if root.path.starts_with(doc, b'/') {
        b""
    } else {
        bundle
    };
    let slash = if prefix.is_empty() { None } else { Some(b'/') };
    let path = prefix
        .iter()
        .copied()
        .chain(slash)
        .chain(root.path.bytes(doc));
    plan.rootfs = plan
        .arena
        .push_iter(path)
        .map_err(|fault| fault.or_at(root.path.place()))?;
    Ok(())
}

fn optional(
    arena: &mut Arena,
    text: Option<Text>,
    doc: &[u8],
) -> Result<Option<super::arena::Str>, Fault> {
    match text {
        Some(text) if !text.is_empty() => push(arena, text, doc).map(Some),
        _ => Ok(None),
    }
}

/// Names become paths below /proc, where `sys` is: dots are separators, unless the name has slashes, and then dots are dots.
fn sysctls(source: Source<'_>, plan: &mut Plan) -> Result<(), Fault> {
    let Some(linux) = &source.config.linux else {
        return Ok(());
    };
    let doc = source.doc;
    for pair in linux.sysctl.of(&source.pools.sysctl) {
        let slashes = pair.key.bytes(doc).any(|byte| byte == b'/');
        let path = pair
            .key
            .bytes(doc)
            .map(|byte| if byte == b'.' && !slashes { b'/' } else { byte });
        let path = plan
            .arena
            .push_iter(b"sys/".iter().copied().chain(path))
            .map_err(|fault| fault.or_at(pair.key.place()))?;
        let value = push(&mut plan.arena, pair.value, doc)?;
        // The capacity is the parser's own.
        let _ = plan.sysctls.push((path, value));
    }
    Ok(())
}
