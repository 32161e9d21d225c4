//! The config.json that a container was made of, as it was kept, and a document that the caller brings beside it.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::{DOC, POOLS, read};
use crate::config::Pools;
use crate::error::{At, Fault, Rule, Step};
use crate::limits::CONFIG_BYTES;
use crate::plan::Scene;
use crate::state::{Dir, Stored};
use crate::sys::memory::TakeOnce;

/// The document beside it, and its lists.
static OWN_DOC: TakeOnce<[u8; CONFIG_BYTES]> = TakeOnce::new([0; CONFIG_BYTES]);
static OWN_POOLS: TakeOnce<Pools> = TakeOnce::new(Pools::new());

/// A document, and the lists that it is to be read into.
type Unread = (&'static [u8], &'static mut Pools);

/// The kept copy, once per process; faults are about it from then on.
pub(super) fn kept(dir: &Dir<'_>, record: Stored<'_>, scene: &mut Scene) -> Result<Unread, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let (doc, pools) = (DOC.take().ok_or(never)?, POOLS.take().ok_or(never)?);
    let doc: &'static [u8] = dir.load_config(record, doc)?;
    scene.document = doc;
    Ok((doc, pools))
}

/// The file of the caller, once per process; faults are about it from then on.
pub(super) fn beside(path: &'static CStr, step: Step, scene: &mut Scene) -> Result<Unread, Fault> {
    let never = Fault::rule(Step::MakePlan, Rule::Never, At::Nothing);
    let (doc, pools) = (OWN_DOC.take().ok_or(never)?, OWN_POOLS.take().ok_or(never)?);
    (scene.document, scene.name) = (&[], path.to_bytes());
    let length = read(path, step, doc)?;
    let doc: &'static [u8] = doc.get(..length).unwrap_or(&[]);
    scene.document = doc;
    Ok((doc, pools))
}
