//! `start`: lets a created container go.
#![forbid(unsafe_code)]

use super::{Call, Stop};
use crate::error::{At, Errno, Fault, Rule, Step};
use crate::plan::Told;
use crate::run;

/// `start ID`.
pub(super) fn start(call: &Call) -> Result<i32, Stop> {
    let globals = &call.globals;
    let mut program: &'static [u8] = &[];
    run::start(globals.args, globals.root, call.id(), &mut program).map_err(|mut fault| {
        if fault.step() == Step::OpenStateRoot && fault.errno() == Some(Errno::NOENT) {
            fault = Fault::rule(Step::FindContainer, Rule::NoContainer, At::Nothing);
        }
        Told {
            program,
            ..fault.into()
        }
    })?;
    Ok(0)
}
