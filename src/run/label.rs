//! The labels of security modules: by lsm_set_self_attr(2), which has no path (Linux 6.8), before that through the private
//! procfs. Nothing that a container can mount on is written to (CVE-2019-16884); a module that is not there is an error.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::error::{At, Context, Errno, Fault, Step};
use crate::fs::proc::Proc;
use crate::plan::Plan;
use crate::plan::arena::Str;
use crate::sys::lsm;

/// Letters of `exec `, which stands before the name of a profile.
const EXEC: u32 = 5;

/// What the next program runs under. Before privileges are dropped: a policy may ask for them.
pub(super) fn of_program(plan: &Plan, procfs: &Proc) -> Result<(), Fault> {
    let text = |label: Str| plan.arena.bytes(label);
    if let Some(profile) = plan.process.apparmor {
        let name = At::Arena(profile.at + EXEC);
        let files = [c"self/attr/apparmor/exec", c"self/attr/exec"];
        set(procfs, lsm::APPARMOR, lsm::EXEC, text(profile), files)
            .step_at(Step::SetAppArmor, name)?;
    }
    if let Some(label) = plan.process.selinux {
        let files = [c"self/attr/exec"; 2];
        set(procfs, lsm::SELINUX, lsm::EXEC, text(label), files)
            .step_at(Step::SetSelinux, At::Arena(label.at))?;
    }
    Ok(())
}

/// What new keys get, and with them the keyring that is made next; execve ends it.
pub(super) fn of_keys(plan: &Plan) -> Result<(), Fault> {
    let Some(label) = plan.process.selinux else {
        return Ok(());
    };
    let procfs = Proc::open()?;
    let files = [c"self/attr/keycreate"; 2];
    let text = plan.arena.bytes(label);
    set(&procfs, lsm::SELINUX, lsm::KEYCREATE, text, files)
        .step_at(Step::SetSelinux, At::Arena(label.at))
}

/// By the call, or in the first of the files that is there: modules share `attr/exec` before Linux 5.1.
fn set(
    procfs: &Proc,
    module: u64,
    attribute: u32,
    text: &[u8],
    files: [&CStr; 2],
) -> Result<(), Errno> {
    match lsm::set_self_attribute(module, attribute, text) {
        // A seccomp filter around us may answer for an older kernel.
        Err(Errno::NOSYS | Errno::PERM) => {}
        answer => return answer,
    }
    let [own, shared] = files;
    match procfs.open_file(own, rustix::fs::OFlags::WRONLY) {
        Err(Errno::NOENT) => procfs.write(shared, text),
        Err(errno) => Err(errno),
        Ok(file) => rustix::io::write(&file, text).map(drop),
    }
}
