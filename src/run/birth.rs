//! A container that is being made, whatever it is made of: what there is of it, and what is written down.
#![forbid(unsafe_code)]

use rustix::process::Pid;

use super::Order;
use super::caller::Init;
use super::init::Joins;
use super::notify;
use crate::cgroup;
use crate::error::{At, Fault, Rule, Step};
use crate::limits::{Limit, STATE_BYTES};
use crate::plan::hooks::Moment;
use crate::plan::route::NamespaceKind;
use crate::state::{self, Dir, Identity, Record};
use crate::sys::memory::TakeOnce;
use crate::sys::{AsFd, OwnedFd, time};
use crate::tty;

/// Room for the text of the cgroups.
static TEXT: TakeOnce<[u8; STATE_BYTES]> = TakeOnce::new([0; STATE_BYTES]);

/// What a container that is up needs in the foreground: the master of its terminal, and the way for what it says to its
/// supervisor.
pub type Up = (Option<OwnedFd>, Option<notify::Relay>);

/// From nothing to a container that exists, or runs.
pub type BringUp<'b> = &'b mut dyn FnMut(&mut Birth<'_>) -> Result<Up, Fault>;

/// A container in the making.
pub struct Birth<'b> {
    /// What is to be done.
    pub order: &'b mut Order,
    /// Who gets its terminal.
    pub terminal: tty::Mode,
    /// Its directory, which is locked.
    pub dir: &'b Dir<'b>,
    /// The namespaces that it joins.
    pub joins: &'b mut Joins,
    /// What there is of its cgroups.
    pub cgroups: &'b mut cgroup::Record,
    /// Its first process, as soon as there is one: to be ended if it goes wrong.
    pub init: &'b mut Option<Init>,
    /// Who hears warnings.
    pub warn: &'b mut dyn FnMut(Fault),
    /// The boot id.
    pub(super) boot: [u8; 36],
    /// The checksum of config.json.
    pub(super) config: u32,
}

impl Birth<'_> {
    /// Keeps config.json, writes down what is going to be made, and makes the v2 cgroup, where there is one.
    ///
    /// # Errors
    ///
    /// A fault, as those of [`cgroup::begin`].
    pub fn begin(&mut self) -> Result<Option<OwnedFd>, Fault> {
        let plan = self.order.plan;
        state::boot(&mut self.boot)?;
        self.config = self.dir.keep_config(self.order.document)?;
        let nobody = Identity {
            boot: &self.boot,
            pid: 0,
            start: 0,
            inode: 0,
        };
        let (order, dir, config) = (&*self.order, self.dir, self.config);
        let mut intend =
            |cgroups: &cgroup::Record| write(order, dir, cgroups, (nobody, 0, config), &[]);
        cgroup::begin(
            &plan.cgroup,
            &plan.arena,
            self.cgroups,
            &mut intend,
            self.warn,
        )
    }

    /// Writes the state; `listener` as it stands there.
    ///
    /// # Errors
    ///
    /// That of writing.
    pub fn commit(&mut self, listener: &[u8]) -> Result<(), Fault> {
        let Some(init) = self.init else {
            return Err(Fault::rule(Step::WriteState, Rule::Never, At::Nothing));
        };
        let fd = init.fd.as_ref().map(AsFd::as_fd);
        let identity = Identity::of(&self.boot, init.number(), fd);
        let born = (identity, time::wall(), self.config);
        write(self.order, self.dir, self.cgroups, born, listener)
    }

    /// Takes a child for the first process.
    pub fn adopt(&mut self, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        *self.init = pid.map(Init::of);
    }

    /// Tells its number to the caller.
    ///
    /// # Errors
    ///
    /// That of writing.
    pub fn write_pid(&self) -> Result<(), Fault> {
        match &*self.init {
            Some(init) => self.order.caller.write_pid(init),
            None => Ok(()),
        }
    }
}

/// Writes down the container: its intent while it has no init, and then its state.
fn write(
    order: &Order,
    dir: &Dir<'_>,
    cgroups: &cgroup::Record,
    (init, created, config): (Identity<'_>, u64, u32),
    listener: &[u8],
) -> Result<(), Fault> {
    let plan = order.plan;
    with_text(cgroups, |cgroup| {
        let record = Record {
            init,
            created,
            own_pid_namespace: plan.namespaces.own(NamespaceKind::Pid),
            own_keyring: plan.keyring.is_some(),
            builtin_filter: order.builtin_filter,
            config,
            bundle: plan.arena.bytes(plan.bundle),
            rootfs: plan.arena.bytes(plan.rootfs),
            program: plan.arena.bytes(plan.process.args.first),
            annotations: order.annotations,
            listener,
            poststart: plan.hooks.text(Moment::Poststart, &plan.arena),
            poststop: plan.hooks.text(Moment::Poststop, &plan.arena),
            cgroup,
        };
        match init.pid {
            0 => dir.intent(&record),
            _ => dir.commit(&record),
        }
    })
}

/// A cgroup record as the text that the state files hold.
fn with_text(
    record: &cgroup::Record,
    write: impl FnOnce(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(buffer) = TEXT.take() else {
        return Err(Fault::rule(Step::WriteState, Rule::Never, At::Nothing));
    };
    let written = match record.encode(buffer) {
        Some(text) => write(text),
        None => Err(Fault::limit(
            Step::WriteState,
            Limit::STATE_BYTES,
            At::Nothing,
        )),
    };
    TEXT.put_back(buffer);
    written
}
