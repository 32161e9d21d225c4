//! From a container that runs to images of it.
#![forbid(unsafe_code)]

use super::mounts::{self, Process};
use super::request::Request;
use super::talk::Criu;
use crate::cgroup;
use crate::error::{Context, Fault, Step};
use crate::fs::proc::Proc;
use crate::plan::Plan;
use crate::run::Msg;
use crate::state::{Live, Stored};
use crate::sys::OwnedFd;
use crate::sys::args::Args;

/// What is to be dumped.
pub struct Dump<'d> {
    /// The runtime's own arguments and environment.
    pub args: Args,
    /// The container.
    pub record: Stored<'d>,
    /// Its first process.
    pub init: Live,
    /// Its cgroups.
    pub cgroups: &'d cgroup::Record,
    /// Its mounts and namespaces.
    pub plan: &'d Plan,
}

/// Has criu make the images. The container is gone then, unless it is to go on. `status` (`--status-fd`) gets a byte when
/// memory can be asked for.
///
/// # Errors
///
/// A fault; the container goes on.
pub fn checkpoint(
    dump: &Dump<'_>,
    request: &mut Request,
    status: &mut Option<OwnedFd>,
) -> Result<(), Fault> {
    request.configure(dump.plan, dump.record.annotations());
    let pid = dump.init.pid();
    request.options.number(2, u64::from(pid));
    request.options.text(13, &[dump.record.rootfs()]);
    if let Some(row) = cgroup::freezer(dump.cgroups) {
        request.options.text(44, &[row.dir.to_bytes()]);
    }
    let procfs = Proc::open()?;
    let init = Process {
        dir: procfs.process(pid).step(Step::Checkpoint)?,
        procfs: &procfs,
    };
    mounts::outside(request, dump.plan, &init).step(Step::Checkpoint)?;
    let (criu, wire) = Criu::start(dump.args, &mut |_| Ok(()))?;
    wire.expect(Msg::End, &mut |_| ())?;
    let asked = criu.ask(request, &mut |name, _, _| {
        if name == b"status-ready"
            && let Some(status) = status.take()
        {
            let _ = rustix::io::write(&status, &[0]);
        }
        Ok(())
    });
    asked.map(drop)
}
