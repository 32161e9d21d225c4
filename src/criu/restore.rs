//! From images to a container that runs: what `run::bring_up` is for config.json.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fs::Mode;
use rustix::process::{chdir, umask};

use super::mounts;
use super::request::Request;
use super::talk::{Criu, inherit};
use crate::cgroup::{self, Unit};
use crate::error::{At, Context, Errno, Fault, Step};
use crate::fs::proc::{Proc, SelfFd};
use crate::fs::within;
use crate::plan::Plan;
use crate::plan::hooks::Moment;
use crate::run::{self, Birth, Hooks, Msg, Up, Wire};
use crate::sys::proc::{self, working_directory};
use crate::sys::{AsFd, OwnedFd, mount, ns, path};
use crate::text::{c_text, pieces};
use crate::{rdt, rootfs, tty};

/// Has criu restore the container. criu is in the cgroups of the container, so that what it makes is born there; and in
/// a mount namespace of its own, where the root file system is mounted on the state directory: criu wants it at a place
/// of its own, and nothing of that is left when criu has ended.
///
/// # Errors
///
/// A fault; the first process may live, as `birth` tells.
pub fn bring_back(birth: &mut Birth<'_>, request: &mut Request) -> Result<Up, Fault> {
    birth.begin()?;
    let plan = birth.order.plan;
    request.configure(plan, birth.order.annotations);
    let mut place = [0; 4096];
    within(birth.dir.fd(), || working_directory(&mut place).map(drop)).step(Step::Restore)?;
    let place = c_text(&place).unwrap_or_default();
    describe(request, plan, place).step(Step::OpenImages)?;
    mounts::give_joined(request, birth.joins);
    let (criu, wire) = Criu::start(birth.order.args, &mut |wire| {
        birth.joins.iter().try_for_each(|(fd, ..)| inherit(fd))?;
        prepare(wire, plan, place, &request.directories)
    })?;
    let unit = plan.cgroup.unit.kind != Unit::None;
    cgroup::finish(
        &plan.cgroup,
        &plan.arena,
        birth.cgroups,
        unit.then_some(criu.pid),
        birth.warn,
    )?;
    rdt::enter(&plan.rdt, &plan.arena, birth.dir, proc::number(criu.pid))?;
    wire.send(Msg::Enter, None)?;
    let mappings = plan.namespaces.mappings;
    run::serve(plan, (proc::number(criu.pid), mappings), &wire, birth.warn)?;
    for target in mounts::mapped(plan) {
        if let Some(mount) = wire.expect(Msg::Mounted, birth.warn)? {
            mounts::locate_mapped(request, target, &mount)?;
        }
    }
    for directory in &mut request.directories {
        if let Some(new) = wire.expect(Msg::Mounted, birth.warn)? {
            *directory = new;
        }
    }
    wire.expect(Msg::End, birth.warn)?;
    let mut master = None;
    criu.ask(request, &mut |name, pid, fd| match (name, fd) {
        (b"setup-namespaces", _) => {
            Hooks::of(plan, Moment::Prestart, pid).run()?;
            Hooks::of(plan, Moment::CreateRuntime, pid).run()
        }
        // It has not run yet: from here on the container exists for everybody.
        (b"post-restore", _) => {
            birth.adopt(pid);
            birth.commit(b"")
        }
        (b"orphan-pts-master", Some(fd)) => terminal(birth, fd, &mut master),
        _ => Ok(()),
    })?;
    birth.write_pid()?;
    Ok((master, None))
}

/// What only a restore is told.
fn describe(request: &mut Request, plan: &Plan, place: &CStr) -> Result<(), Errno> {
    let options = &mut request.options;
    // evasive_devices; rst_sibling: the first process is our child, not criu's.
    for field in [6, 26] {
        options.number(field, 1);
    }
    options.text(13, &[place.to_bytes()]);
    for row in plan.cgroup.hierarchies.iter() {
        for controller in pieces(row.controllers, b',') {
            let start = options.open(25);
            options.text(1, &[controller]);
            options.text(2, &[row.path]);
            options.close(start);
        }
    }
    mounts::locate(request, plan)?;
    mounts::give_streams(request)
}

/// The child's side, before it is criu, which mounts in its directories: they have to be those of its mount namespace.
fn prepare(wire: &Wire, plan: &Plan, place: &CStr, directories: &[OwnedFd]) -> Result<(), Fault> {
    wire.expect(Msg::Enter, &mut |_| ())?;
    cgroup::enter(&plan.cgroup, false, b"0")?;
    ns::unshare(ns::flag::MOUNT).step(Step::MakeNamespaces)?;
    mount::change(c"/", k::MS_SLAVE | k::MS_REC).step(Step::SetPropagation)?;
    mount::bind(plan.arena.cstr(plan.rootfs), place, k::MS_BIND | k::MS_REC)
        .step_at(Step::MountRootfs, At::Arena(plan.rootfs.at))?;
    let procfs = Proc::open()?;
    rehearse(wire, plan, &procfs)?;
    for directory in directories {
        let mut text = [0; 4096];
        let own = SelfFd::of(directory);
        path::readlink(procfs.fd(), own.path(), &mut text).step(Step::OpenImages)?;
        let new = super::directory(c_text(&text).unwrap_or_default(), false)?;
        wire.send(Msg::Mounted, Some(new.as_fd()))?;
    }
    Ok(())
}

/// Mounts everything as for a container that is made. What counts are the mount points, which criu does not make; the
/// mounts are in nobody's way, since what was bound before does not have them.
///
/// Only id-mapped mounts are of use: criu knows no mappings, but those stay when it binds the mount.
fn rehearse(wire: &Wire, plan: &Plan, procfs: &Proc) -> Result<(), Fault> {
    let before = plan.ops.get(..plan.root.before as usize);
    let mut root = rootfs::enter(&plan.root, &plan.arena, procfs)?;
    let ask = |op| run::ask(plan, wire, op);
    root.run(before.unwrap_or_default(), 0, &plan.arena, &ask)?;
    wire.send(Msg::Mounted, None)?;
    for target in mounts::mapped(plan) {
        let mount = root.root().follow(target).step(Step::Restore)?;
        wire.send(Msg::Mounted, Some(mount.as_fd()))?;
    }
    umask(Mode::from_raw_mode(0o022));
    chdir(c"/").step(Step::Restore)
}

/// The terminal of the container, for whoever asked for it.
fn terminal(birth: &mut Birth<'_>, fd: OwnedFd, master: &mut Option<OwnedFd>) -> Result<(), Fault> {
    if let Some(socket) = birth.order.caller.take_console() {
        return tty::hand_over(socket.as_fd(), fd.as_fd());
    }
    *master = Some(fd);
    Ok(())
}
