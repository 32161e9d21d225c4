//! The process: its words, its environment, and every attribute it starts with.
#![forbid(unsafe_code)]

use heapless::Vec;
use rustix::thread::Gid;

use super::Plan;
use super::arena::Str;
use super::bits::{Cpus, NO_CPUS, NO_NODES, Nodes, list};
use super::draft::Draft;
use super::environment::{Each, Seen, environment};
use super::make::Source;
use crate::config::{self, Capabilities, ConsoleSize, Linux, Rlimit, Scheduler};
use crate::error::{At, Fault, Rule, Step};
use crate::limits::{ARG_BYTES, GROUPS, Limit};

/// A number of strings that lie one behind the other in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The first one.
    pub first: Str,
    /// How many.
    pub count: usize,
}

impl Words {
    const NONE: Self = Self {
        first: Str::EMPTY,
        count: 0,
    };

    /// Adds a string that lies behind the last one.
    pub(super) fn add(&mut self, word: Str) {
        if self.count == 0 {
            self.first = word;
        }
        self.count += 1;
    }
}

/// The capability sets of the process: bit N of a set is capability N.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Whether they are set at all; otherwise setresuid(2) decides.
    pub given: bool,
    /// What can be gained.
    pub bounding: u64,
    /// What is in force.
    pub effective: u64,
    /// What survives exec of a file with inheritable capabilities.
    pub inheritable: u64,
    /// What can be put in force.
    pub permitted: u64,
    /// What survives exec of any file.
    pub ambient: u64,
}

impl Sets {
    const NONE: Self = Self {
        given: false,
        bounding: 0,
        effective: 0,
        inheritable: 0,
        permitted: 0,
        ambient: 0,
    };
}

impl From<Capabilities> for Sets {
    /// An absent list is an empty set.
    fn from(lists: Capabilities) -> Self {
        Self {
            given: true,
            bounding: lists.bounding.unwrap_or(0),
            effective: lists.effective.unwrap_or(0),
            inheritable: lists.inheritable.unwrap_or(0),
            permitted: lists.permitted.unwrap_or(0),
            ambient: lists.ambient.unwrap_or(0),
        }
    }
}

/// What the command line adds to a process.
#[derive(Clone, Copy)]
pub struct Extra<'e> {
    /// In the place of `process.args`.
    pub args: Option<Each<'e>>,
    /// Behind `process.env`, each with a name and `=`.
    pub env: Each<'e>,
}

impl Extra<'_> {
    /// Nothing.
    pub const NONE: Self = Self {
        args: None,
        env: &|_| (),
    };
}

/// Everything that execve and the steps before it need.
pub struct Process {
    /// argv.
    pub args: Words,
    /// envp, each name once.
    pub env: Words,
    /// The value of PATH in env, if it is there.
    pub path: Option<Str>,
    /// env has a HOME that is not empty.
    pub has_home: bool,
    /// env gets a LISTEN_PID: the number that the process has for itself.
    pub listens: bool,
    /// Made when missing.
    pub cwd: Str,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// File mode creation mask.
    pub umask: u32,
    /// All supplementary groups.
    pub groups: Vec<Gid, GROUPS>,
    /// The five sets, or leave them as setresuid leaves them.
    pub capabilities: Sets,
    /// Set exactly, each resource at most once.
    pub rlimits: Vec<Rlimit, 16>,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// AppArmor's `exec PROFILE`.
    pub apparmor: Option<Str>,
    /// The SELinux label of the program and of its keys.
    pub selinux: Option<Str>,
    /// The text for oom_score_adj.
    pub oom_score_adj: Option<Str>,
    /// sched_setattr.
    pub scheduler: Option<Scheduler>,
    /// ioprio_set: class and level.
    pub io_priority: Option<(u32, u32)>,
    /// personality.
    pub personality: Option<u32>,
    /// set_mempolicy: mode with its flags, and the nodes.
    pub memory_policy: Option<(u32, Nodes)>,
    /// The CPUs of `exec` before it enters the cgroups, and after.
    pub affinity: [Option<Cpus>; 2],
    /// A pseudoterminal is its stdio.
    pub terminal: bool,
    /// Size of the terminal, if not that of the caller's.
    pub console_size: Option<ConsoleSize>,
}

impl Process {
    /// Nothing yet: all zero bits, so that a static one is in .bss.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            args: Words::NONE,
            env: Words::NONE,
            path: None,
            has_home: false,
            listens: false,
            cwd: Str::EMPTY,
            uid: 0,
            gid: 0,
            umask: 0,
            groups: Vec::new(),
            capabilities: Sets::NONE,
            rlimits: Vec::new(),
            no_new_privileges: false,
            apparmor: None,
            selinux: None,
            oom_score_adj: None,
            scheduler: None,
            io_priority: None,
            personality: None,
            memory_policy: None,
            affinity: [None; 2],
            terminal: false,
            console_size: None,
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

/// Fills the plan's process from `process`, `linux.personality` and `linux.memoryPolicy`.
///
/// # Errors
///
/// No process; too much text.
pub fn make(draft: &mut Draft<'_>, extra: Extra<'_>, seen: &mut Seen) -> Result<(), Fault> {
    let Source { config, pools, doc } = draft.source;
    let Some(process) = &config.process else {
        return Err(Fault::rule(
            Step::MakePlan,
            Rule::ProcessMissing,
            At::Nothing,
        ));
    };
    let before = draft.plan.arena.used();
    if let Some(args) = extra.args {
        let Plan { arena, process, .. } = &mut *draft.plan;
        args(&mut |word| process.args.add(arena.push(word.to_bytes())));
    } else {
        for word in process.args.of(&pools.args) {
            let word = draft.text(*word);
            draft.plan.process.args.add(word);
        }
    }
    environment(draft, process.env.of(&pools.env), extra.env, seen)?;
    if draft.plan.arena.used() - before > ARG_BYTES {
        return Err(Fault::limit(
            Step::MakePlan,
            Limit::ARG_BYTES,
            At::Byte(process.at),
        ));
    }
    let cwd = draft.text(process.cwd);
    labels(draft, process);
    let Plan {
        arena,
        process: into,
        ..
    } = &mut *draft.plan;
    into.cwd = cwd;
    into.oom_score_adj = process.oom_score_adj.map(|score| {
        arena.put_number(i64::from(score));
        arena.close(At::Nothing)
    });
    into.uid = process.user.uid;
    into.gid = process.user.gid;
    into.umask = process.user.umask.unwrap_or(0o022);
    // Both capacities are the parser's own, so neither list can be too long here.
    for gid in process.user.additional_gids.of(&pools.groups) {
        let _ = into.groups.push(Gid::from_raw(*gid));
    }
    let _ = into
        .rlimits
        .extend_from_slice(process.rlimits.of(&pools.rlimits));
    if let Some(lists) = process.capabilities {
        into.capabilities = Sets::from(lists);
    }
    into.no_new_privileges = process.no_new_privileges;
    into.scheduler = process.scheduler;
    into.io_priority = process
        .io_priority
        .map(|io| (u32::from(io.class), u32::from(io.priority)));
    into.terminal = process.terminal;
    into.console_size = process.console_size;
    match &config.linux {
        Some(linux) => machine(linux, doc, into),
        None => Ok(()),
    }
}

/// The labels of the program.
fn labels(draft: &mut Draft<'_>, process: &config::Process) {
    if let Some(profile) = process.apparmor_profile {
        draft.plan.arena.put(b"exec ");
        draft.plan.process.apparmor = Some(draft.text(profile));
    }
    if let Some(label) = process.selinux_label {
        draft.plan.process.selinux = Some(draft.text(label));
    }
}

/// What belongs to the process but stands under `linux`.
pub fn machine(linux: &Linux, doc: &[u8], into: &mut Process) -> Result<(), Fault> {
    /// PER_LINUX32, linux/personality.h.
    const LINUX32: u32 = 8;
    into.personality = linux
        .personality
        .map(|persona| if persona.linux32 { LINUX32 } else { 0 });
    if let Some(policy) = linux.memory_policy {
        let fault = Fault::rule(Step::MakePlan, Rule::NodeList, At::Byte(policy.at));
        let flags = u32::try_from(policy.flags).map_err(|_| fault)?;
        let mut nodes = NO_NODES;
        if let Some(text) = policy.nodes {
            list(text.bytes(doc), &mut nodes).ok_or(fault.with_at(text.place()))?;
        }
        into.memory_policy = Some((u32::from(policy.mode) | flags, nodes));
    }
    Ok(())
}

/// `process.execCPUAffinity`.
///
/// # Errors
///
/// What is no list of CPUs.
pub fn affinity(process: &config::Process, doc: &[u8], into: &mut Process) -> Result<(), Fault> {
    let Some(lists) = process.exec_cpu_affinity else {
        return Ok(());
    };
    for (text, into) in [lists.initial, lists.last]
        .into_iter()
        .zip(&mut into.affinity)
    {
        if let Some(text) = text {
            let fault = Fault::rule(Step::MakePlan, Rule::CpuList, text.place());
            let cpus = into.insert(NO_CPUS);
            list(text.bytes(doc), cpus).ok_or(fault)?;
        }
    }
    Ok(())
}
