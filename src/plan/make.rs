//! From a checked document and the facts about the host to a [`Plan`]: the table of contents.
#![forbid(unsafe_code)]

use super::arena::Str;
use super::draft::Draft;
use super::environment::Seen;
use super::process::Extra;
use super::service::Service;
use super::{Plan, cgroup, hooks, mounts, process, rdt, route, seccomp};
use crate::cgroup::{Layout, Manager, Mode, Policy};
use crate::config::{self, Config, IdMapping, Linux, NamespaceKind, Pools, Text};
use crate::error::{At, Fault, Rule, Step};
use crate::limits::FULL;
use crate::seccomp::Scratch;

/// What the command line adds to the document.
#[derive(Clone, Copy, Default)]
pub struct Request<'a> {
    /// The container's name.
    pub id: &'a [u8],
    /// Absolute path of the bundle.
    pub bundle: &'a [u8],
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// `--seccomp-default`.
    pub seccomp_default: bool,
    /// `--cgroup-manager`, `--systemd-cgroup`.
    pub cgroup_manager: Manager,
    /// Devices cannot be restricted: only root could, and only root could open what is not ours anyway.
    pub rootless: bool,
    /// Who calls: a user has a systemd of its own.
    pub uid: u32,
    /// `--cgroup-policy`.
    pub cgroup_policy: Option<Policy>,
    /// What a service manager gave along.
    pub service: Service,
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
    scratch: &mut Scratch,
    plan: &mut Plan,
) -> Result<(), Fault> {
    let mut draft = Draft {
        request,
        source,
        plan,
    };
    let made = fill(&mut draft, layout, seen, scratch);
    // What was noted on the way comes before what ended it.
    plan.arena.result().and(made)
}

fn fill(
    draft: &mut Draft<'_>,
    layout: &Layout,
    seen: &mut Seen,
    scratch: &mut Scratch,
) -> Result<(), Fault> {
    let Draft {
        request, source, ..
    } = *draft;
    let config = source.config;
    let Some(root) = &config.root else {
        return Err(Fault::rule(Step::MakePlan, Rule::RootMissing, At::Nothing));
    };
    let plan = &mut *draft.plan;
    plan.id = plan.arena.push(request.id);
    plan.bundle = plan.arena.push(request.bundle);
    if request.no_pivot {
        plan.root.way = mounts::Way::Move;
    }
    if !request.no_new_keyring {
        draft.session_keyring();
    }
    draft.plan.rootfs = draft.host_path(root.path);
    draft.plan.hostname = optional(draft, config.hostname);
    draft.plan.domainname = optional(draft, config.domainname);
    if let Some(linux) = &config.linux {
        route::make(draft, linux);
        sysctls(draft, linux);
        net_devices(draft, linux);
        if let Some(groups) = &linux.intel_rdt
            && FULL
        {
            rdt::make(draft, groups);
        }
    }
    cgroup::make(
        source,
        request,
        layout,
        &mut draft.plan.arena,
        &mut draft.plan.cgroup,
    )?;
    draft.plan.cgroup.owner = owner(draft);
    draft.plan.cgroup.limits.apart = draft.plan.namespaces.route != route::Route::Direct;
    mounts::make(draft)?;
    process::make(draft, Extra::NONE, seen)?;
    if let Some(list) = &config.hooks {
        hooks::make(draft, list);
    }
    seccomp::fill(draft, scratch)
}

/// Who on the host the cgroup is given to: the user of the process, where that has a new cgroup namespace and may write
/// to a mount of v2. Nobody, where that is the caller, or who it is has not been told (a user namespace that is joined).
fn owner(draft: &Draft<'_>) -> Option<u32> {
    let Source { config, pools, doc } = draft.source;
    let writable = |mount: &config::Mount| {
        let options = mount.options.of(&pools.mount_options);
        let kind = mount.kind.is_some_and(|kind| kind.is(doc, b"cgroup"));
        let place = mount.destination.is(doc, b"/sys/fs/cgroup");
        kind && place && !options.iter().any(|option| option.is(doc, b"ro"))
    };
    let namespaces = &draft.plan.namespaces;
    let mut uid = config.process?.user.uid;
    if namespaces.own(NamespaceKind::User) {
        let mappings = config.linux?.uid_mappings.of(&pools.id_mappings);
        let mapped = |one: &IdMapping| {
            let place = uid.checked_sub(one.container)?;
            (place < one.size).then_some(one.host + place)
        };
        uid = mappings.iter().find_map(mapped)?;
    }
    let new = namespaces.new.has(NamespaceKind::Cgroup);
    let given = new && draft.plan.cgroup.mode == Mode::V2 && uid != draft.request.uid;
    let mounts = config.mounts.of(&pools.mounts);
    (given && mounts.iter().any(writable)).then_some(uid)
}

/// A text that says nothing when it is empty.
fn optional(draft: &mut Draft<'_>, text: Option<Text>) -> Option<Str> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(draft.text(text))
}

/// Each with its name inside, which is the one it has where none is given.
fn net_devices(draft: &mut Draft<'_>, linux: &Linux) {
    let pools = draft.source.pools;
    for device in linux.net_devices.of(&pools.net_devices) {
        let host = draft.text(device.host);
        let name = optional(draft, device.name).unwrap_or(host);
        // The capacity is the parser's own.
        let _ = draft.plan.net_devices.push((host, name));
    }
}

/// Names become paths below /proc, where `sys` is: those that were checked.
fn sysctls(draft: &mut Draft<'_>, linux: &Linux) {
    let Source { pools, doc, .. } = draft.source;
    for pair in linux.sysctl.of(&pools.sysctl) {
        let arena = &mut draft.plan.arena;
        arena.put(b"sys/");
        config::sysctl_path(doc, pair.key).for_each(|byte| arena.add(byte));
        let path = arena.close(pair.key.place());
        let value = draft.text(pair.value);
        // The capacity is the parser's own.
        let _ = draft.plan.sysctls.push((path, value));
    }
}
