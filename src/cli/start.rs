//! `start`: lets a created container go.
#![forbid(unsafe_code)]

use super::{Call, Stop};
use crate::error::{At, Errno, Fault, Rule, Step};
use crate::run;

/// `start ID`.
pub(super) fn start(call: &Call) -> Result<i32, Stop> {
    run::start(&call.globals, call.id()).map_err(|mut told| {
        if told.fault.step() == Step::OpenStateRoot && told.fault.errno() == Some(Errno::NOENT) {
            told.fault = Fault::rule(Step::FindContainer, Rule::NoContainer, At::Nothing);
        }
        told
    })?;
    Ok(0)
}
