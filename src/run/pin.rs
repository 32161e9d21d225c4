//! The namespaces that a container joins, opened before anything is made.
#![forbid(unsafe_code)]

use rustix::fs::{CWD, OFlags};

use super::init::Joins;
use crate::error::{At, Context, Fault, Rule, Step};
use crate::plan::Plan;
use crate::plan::route::NamespaceKind;
use crate::sys::{AsFd, OwnedFd, ns, path};

/// Opens the namespaces to join, and checks that they are what they are said to be.
pub(super) fn namespaces(plan: &Plan) -> Result<Joins, Fault> {
    let mut pinned = Joins::new();
    for join in &plan.namespaces.joins {
        let at = At::Byte(join.at);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = path::open(CWD, plan.arena.cstr(join.path), flags, 0)
            .step_at(Step::OpenNamespace, At::Arena(join.path.at))?;
        if ns::kind(fd.as_fd()) != Ok(super::flag(join.kind)) {
            return Err(Fault::rule(Step::OpenNamespace, Rule::NamespaceType, at));
        }
        if !plan.sysctls.is_empty() && is_ours(&fd, join.kind) {
            return Err(Fault::rule(Step::OpenNamespace, Rule::SysctlHost, at));
        }
        let _ = pinned.push((fd, join.kind, join.at));
    }
    Ok(pinned)
}

/// Whether a namespace to join is the runtime's own: a sysctl in it would be one of the host.
fn is_ours(fd: &OwnedFd, kind: NamespaceKind) -> bool {
    let path = match kind {
        NamespaceKind::Network => c"/proc/self/ns/net",
        NamespaceKind::Ipc => c"/proc/self/ns/ipc",
        NamespaceKind::Uts => c"/proc/self/ns/uts",
        _ => return false,
    };
    let same = |one: &rustix::fs::Stat, two: &rustix::fs::Stat| {
        (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)
    };
    match (rustix::fs::fstat(fd), rustix::fs::stat(path)) {
        (Ok(theirs), Ok(ours)) => same(&theirs, &ours),
        // Not known to be another one.
        _ => true,
    }
}
