//! The filter of system calls: the profile of the document, compiled.
#![forbid(unsafe_code)]

use heapless::Vec;

use super::arena::Str;
use super::draft::Draft;
use super::make::Source;
use crate::config::{Seccomp, SeccompAction, Text};
use crate::error::{At, Fault, Rule, Step};
use crate::limits::{FULL, Limit};
use crate::seccomp::{MACHINE, Policy, Program, Scratch, compile, compile_builtin, flag, word};

/// What is loaded before the program is executed.
pub struct Filter {
    /// Empty: no filter.
    pub program: Program,
    /// What seccomp(2) gets beside it.
    pub load: Load,
    /// Who is told of calls that the program notifies of.
    pub listener: Option<Listener>,
    /// Some of the names that are of no system call here.
    pub unknown: Vec<Text, 16>,
}

/// How the filter is loaded: plain words, which stay when everything else is given back.
#[derive(Clone, Copy)]
pub struct Load {
    /// SECCOMP_FILTER_FLAG_*.
    pub flags: u32,
    /// The document asks for them; a kernel that lacks one of ours goes without.
    pub flags_given: bool,
    /// Offset of `linux.seccomp` in the document.
    pub at: u32,
}

/// Where the descriptor goes that tells of calls.
#[derive(Clone, Copy)]
pub struct Listener {
    /// The socket.
    pub path: Str,
    /// JSON text of a string, without its quotes.
    pub metadata: Str,
}

impl Filter {
    /// None.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "a Default would be made on the stack"
    )]
    pub const fn new() -> Self {
        Self {
            program: Program::new(),
            load: Load {
                flags: 0,
                flags_given: false,
                at: 0,
            },
            listener: None,
            unknown: Vec::new(),
        }
    }
}

/// Fills the plan's filter.
///
/// # Errors
///
/// A profile that notifies nobody, an errno that is none, an annotation that asks for something else than the built-in
/// profile; too many instructions.
pub fn fill(draft: &mut Draft<'_>, scratch: &mut Scratch) -> Result<(), Fault> {
    let linux = draft.source.config.linux;
    match linux.and_then(|linux| linux.seccomp) {
        Some(profile) => make(draft, &profile, scratch),
        None => builtin(draft, scratch),
    }
}

/// The profile of the document.
fn make(draft: &mut Draft<'_>, seccomp: &Seccomp, scratch: &mut Scratch) -> Result<(), Fault> {
    let Some(default) = seccomp.default_action else {
        return Ok(());
    };
    let Source { pools, doc, .. } = draft.source;
    let rules = seccomp.rules.of(&pools.seccomp_rules);
    number(default, seccomp.default_errno, seccomp.at)?;
    let policy = Policy {
        default: word(default, seccomp.default_errno),
        architectures: seccomp.architectures,
        rules,
        args: &pools.seccomp_args,
    };
    let mut notifies = false;
    for (place, rule) in rules.iter().enumerate() {
        number(rule.action, rule.errno, rule.at)?;
        for name in rule.names.of(&pools.seccomp_names) {
            if scratch.calls.name(&MACHINE, place, name.bytes(doc)) {
                notifies |= rule.action == SeccompAction::Notify;
            } else {
                // There are more of them than anybody reads.
                let _ = draft.plan.filter.unknown.push(*name);
            }
        }
    }
    let filter = &mut draft.plan.filter;
    let (step, at) = (Step::MakePlan, At::Byte(seccomp.at));
    compile(&MACHINE, policy, scratch, &mut filter.program).ok_or_else(|| too_long(at))?;
    // One thread: TSYNC has nothing to do, and the kernel refuses it beside a listener. The default is runc's.
    let mut flags = seccomp.flags.unwrap_or(flag::SPEC_ALLOW.into()) & !u64::from(flag::TSYNC);
    if !notifies {
        flags &= !u64::from(flag::WAIT_KILLABLE_RECV);
    }
    filter.load = Load {
        flags: u32::try_from(flags).unwrap_or(0),
        flags_given: seccomp.flags.is_some(),
        at: seccomp.at,
    };
    if !notifies {
        return Ok(());
    }
    if !FULL {
        return Err(Fault::rule(step, Rule::NotInThisBuild, at));
    }
    let Some(path) = seccomp.listener_path else {
        return Err(Fault::rule(step, Rule::SeccompListener, at));
    };
    draft.plan.filter.load.flags |= flag::NEW_LISTENER;
    let path = draft.host_path(path);
    let metadata = seccomp.listener_metadata.unwrap_or_default();
    draft.plan.arena.put(metadata.raw(doc));
    let metadata = draft.plan.arena.close(metadata.place());
    draft.plan.filter.listener = Some(Listener { path, metadata });
    Ok(())
}

/// The built-in profile, for a document without one: if the command line or an annotation asks for it.
fn builtin(draft: &mut Draft<'_>, scratch: &mut Scratch) -> Result<(), Fault> {
    let Source { config, pools, doc } = draft.source;
    let mut wanted = draft.request.seccomp_default;
    for pair in config.annotations.of(&pools.annotations) {
        if pair.key.is(doc, ANNOTATION) {
            if !pair.value.is(doc, b"default") {
                let at = pair.value.place();
                return Err(Fault::rule(Step::MakePlan, Rule::SeccompBuiltin, at));
            }
            wanted = true;
        }
    }
    if !wanted {
        return Ok(());
    }
    if !FULL {
        return Err(Fault::rule(
            Step::MakePlan,
            Rule::NotInThisBuild,
            At::Nothing,
        ));
    }
    // Capabilities that are left as they are may be all.
    let sets = config.process.and_then(|process| process.capabilities);
    let bounding = sets.map_or(u64::MAX, |sets| sets.bounding.unwrap_or(0));
    let filter = &mut draft.plan.filter;
    filter.load.flags = flag::SPEC_ALLOW;
    compile_builtin(bounding, scratch, &mut filter.program).ok_or_else(|| too_long(At::Nothing))
}

/// The annotation that asks for the built-in profile, with the value `default`.
const ANNOTATION: &[u8] = b"run.ocilet.seccomp";

fn too_long(at: At) -> Fault {
    Fault::limit(Step::MakePlan, Limit::SECCOMP_INSTRUCTIONS, at)
}

/// Checks the number of an action: the kernel makes 4095 of a greater errno.
fn number(action: SeccompAction, number: Option<u32>, at: u32) -> Result<(), Fault> {
    let most = if action == SeccompAction::Errno {
        4095
    } else {
        u32::from(u16::MAX)
    };
    match number {
        Some(number) if number > most => Err(Fault::rule(
            Step::MakePlan,
            Rule::SeccompNumber,
            At::Byte(at),
        )),
        _ => Ok(()),
    }
}
