//! config.json: bytes are checked first (`scan`), then meaning (`parse`), then what only the document can say (`check`).
//!
//! ```text
//!  &[u8] ──scan──▶ JSON, UTF-8, no duplicate keys ──parse──▶ Config + Pools ──check──▶ the same, consistent
//! ```
//!
//! Pure: no system call, no clock, no default that the specification does not give. Every complaint is a
//! [`Fault`](crate::error::Fault) at a byte of the document; [`locate`], [`path`] and [`snippet`] make it readable.
#![forbid(unsafe_code)]

mod check;
mod check_linux;
mod linux;
mod names;
mod node;
mod parse;
mod pools;
mod scan;
mod schema;
mod seed;
mod sysctl;
mod text;
mod types;
mod value;
mod version;
mod walk;

#[cfg(test)]
mod tests;

pub use names::{DeviceKind, Names, NamespaceKind, Propagation, SeccompAction, SeccompOp};
pub use pools::Pools;
pub use sysctl::sysctl_path;
pub use text::Bytes;
pub use types::{
    BlockIo, Capabilities, Config, ConsoleSize, Cpu, CpuAffinity, Device, DeviceRule, Hook, Hooks,
    HugepageLimit, IdMapping, IntelRdt, IoPriority, Linux, List, Memory, MemoryPolicy, Mount,
    Namespace, NetDevice, NetPriority, Network, Pair, Personality, Pids, Process, Rdma, Resources,
    Rlimit, Root, Scheduler, Seccomp, SeccompArg, SeccompRule, Text, ThrottleDevice, TimeOffset,
    TimeOffsets, User, WeightDevice,
};

pub use walk::{find, locate, path, snippet, value};

use crate::error::{At, Cause, Fault, Rule, Step};
use crate::limits::Limit;
use schema::Obj;
use seed::Draft;

/// Reads config.json: `doc` is the whole file, `pools` receives its lists. Pools are for one document: they must be empty.
///
/// # Errors
///
/// A rule or a limit at the byte of the offending value.
pub fn read(doc: &[u8], pools: &mut Pools) -> Result<Config, Fault> {
    let draft = document(doc, pools, Obj::Config)?;
    check::config(doc, pools, &draft.config)?;
    Ok(draft.config)
}

/// Reads a document that is the `process` object alone, as for `exec --process`.
///
/// # Errors
///
/// As for [`read`].
pub fn read_process(doc: &[u8], pools: &mut Pools) -> Result<Process, Fault> {
    let wrong = |wrong: Wrong| Fault::placed(Step::ReadProcess, wrong.cause(), wrong.at());
    let draft = document(doc, pools, Obj::Process).map_err(wrong)?;
    check::process(doc, pools, &draft.process).map_err(wrong)?;
    Ok(draft.process)
}

/// Reads a document that is the `linux.resources` object alone, as for `update --resources`.
///
/// # Errors
///
/// As for [`read`].
pub fn read_resources(doc: &[u8], pools: &mut Pools) -> Result<Resources, Fault> {
    let wrong = |wrong: Wrong| Fault::placed(Step::ReadResources, wrong.cause(), wrong.at());
    let draft = document(doc, pools, Obj::Resources).map_err(wrong)?;
    check_linux::resources(doc, pools, &draft.resources).map_err(wrong)?;
    Ok(draft.resources)
}

/// Reads a document that has nothing but `mounts`, as for the verb of this name.
///
/// # Errors
///
/// As for [`read`].
pub fn read_mounts(doc: &[u8], pools: &mut Pools) -> Result<Config, Fault> {
    document(doc, pools, Obj::Mounts)
        .map(|draft| draft.config)
        .map_err(|wrong| Fault::placed(Step::ReadMounts, wrong.cause(), wrong.at()))
}

/// Bytes, then meaning.
fn document(doc: &[u8], pools: &mut Pools, obj: Obj) -> Result<Draft, Wrong> {
    scan::scan(doc, &mut pools.keys)?;
    let mut draft = Draft::default();
    parse::parse(doc, pools, obj, &mut draft)?;
    version::bring_up_to_date(&mut draft.config, doc);
    Ok(draft)
}

/// Why a document is refused, and the byte: a fault of the step [`Step::ReadConfig`].
type Wrong = Fault;

/// A broken rule at a byte.
fn broken(rule: Rule, at: usize) -> Wrong {
    refused(Cause::Rule(rule), at)
}

/// A capacity that was exceeded at a byte.
fn full(limit: Limit, at: usize) -> Wrong {
    refused(Cause::Limit(limit), at)
}

/// Kept out of line: there is hardly a function of the room that does not call it.
#[cold]
#[inline(never)]
fn refused(cause: Cause, at: usize) -> Wrong {
    let at = At::Byte(u32::try_from(at).unwrap_or(u32::MAX));
    Fault::placed(Step::ReadConfig, cause, at)
}
