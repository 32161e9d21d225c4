//! `mounts add` and `mounts remove`: what config.json says in `mounts`, for a container that is there.
#![forbid(unsafe_code)]

use super::alive::{refuse, with};
use super::{Call, FAILED};
use crate::error::{Fault, Rule, Step};
use crate::{bundle, run};

/// `mounts add ID FILE`, `mounts remove ID FILE`.
pub(super) fn mounts(call: &mut Call) -> Result<i32, Fault> {
    let action = call.id.to_bytes();
    if action != b"add" && action != b"remove" {
        let text = "mounts: \"%\" is neither add nor remove";
        call.parsed.misuse(text, action, b"", b"");
        return Ok(FAILED);
    }
    run::protect(call.args, 0)?;
    call.id = call.parsed.operand(1).unwrap_or_default();
    call.voice.id = call.id.to_bytes();
    let file = call.parsed.operand(2).unwrap_or_default();
    let mut scene = call.voice.scene;
    let done = with(call, true, &mut |found| {
        let Some(init) = found.record.find_init(found.boot)? else {
            return refuse(Step::JoinContainer, Rule::NotRunning);
        };
        let plan = bundle::mounts(found.dir, found.record, file, &mut scene)?;
        run::mounts(plan, &init, action == b"add").map(|()| 0)
    });
    call.voice.scene = scene;
    done
}
