//! `start`: lets a created container go.
#![forbid(unsafe_code)]

use super::{Call, delete};
use crate::error::{At, Errno, Fault, Rule, Step};
use crate::run;

/// `start ID`.
pub(super) fn start(call: &mut Call) -> Result<i32, Fault> {
    let program = &mut call.voice.scene.program;
    match run::start(call.args, call.root, call.id, program) {
        // The specification: the container is stopped, and its life goes on at its removal.
        Err(fault) if fault.step().is_hook() => {
            if let Err(other) = delete::remove(call, true) {
                call.voice.warning_about(call.id.to_bytes(), other);
            }
            Err(fault)
        }
        Err(fault)
            if fault.step() == Step::OpenStateRoot && fault.errno() == Some(Errno::NOENT) =>
        {
            Err(Fault::rule(
                Step::FindContainer,
                Rule::NoContainer,
                At::Nothing,
            ))
        }
        started => started.map(|()| 0),
    }
}
