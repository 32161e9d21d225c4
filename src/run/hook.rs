//! Hooks at the moments of a container's life: what they are told, and where they run.
#![forbid(unsafe_code)]

use crate::error::{Context, Fault};
use crate::fs::fdset::Left;
use crate::hooks::{self, SAID, Surroundings};
use crate::plan::Plan;
use crate::plan::hooks::Moment;
use crate::say::Line;
use crate::say::object::{Container, Object};
use crate::state::Stored;
use crate::sys::proc::Strings;
use crate::text::{c_text, cut};

/// Hooks of a moment, and the container that they are told of.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// When.
    moment: Moment,
    /// The list, as the room `hooks` has it.
    pub(super) list: &'a [u8],
    /// Name of the container.
    id: &'a [u8],
    /// Absolute path of its bundle.
    bundle: &'a [u8],
    /// The JSON object as it stands in the document.
    annotations: &'a [u8],
    /// Its init, as those who are told know it; 0 when that has ended.
    pid: u32,
}

/// What stands before the lists in the plan: name, bundle, annotations.
fn about(text: &[u8]) -> [&[u8]; 3] {
    let (id, rest) = cut(text, 0);
    let (bundle, rest) = cut(rest, 0);
    [id, bundle, cut(rest, 0).0]
}

impl<'a> Hooks<'a> {
    /// Those of a plan.
    pub fn of(plan: &'a Plan, moment: Moment, pid: u32) -> Self {
        let text = plan.arena.from(plan.hooks.about);
        Self::kept(text, plan.hooks.text(moment, &plan.arena), moment, pid)
    }

    /// Those of a plan of which only the text is left: from the name on, and the list.
    pub(super) fn kept(text: &'a [u8], list: &'a [u8], moment: Moment, pid: u32) -> Self {
        let [id, bundle, annotations] = about(text);
        Self {
            moment,
            list,
            id,
            bundle,
            annotations,
            pid,
        }
    }

    /// Those that a record keeps: poststart, and poststop for when init has ended.
    pub fn stored(record: Stored<'a>, id: &'a [u8], moment: Moment) -> Self {
        let (list, pid) = if moment == Moment::Poststop {
            (record.poststop(), 0)
        } else {
            (record.poststart(), record.pid())
        };
        Self {
            moment,
            list,
            id,
            bundle: record.bundle(),
            annotations: record.annotations(),
            pid,
        }
    }

    /// Runs them from the bundle, with nothing in their environment but their own.
    pub fn run(&self) -> Result<(), Fault> {
        self.in_bundle(None)
    }

    /// Runs them in the container, where `env` is the environment of those that have none.
    pub(super) fn run_inside(&self, env: Strings<'_>, left: Left) -> Result<(), Fault> {
        let around = Surroundings {
            step: self.moment.step(),
            cwd: None,
            env,
            left,
        };
        self.run_in(&around, None)
    }

    #[inline(never)] // its buffer would lie in the frame of everything below
    fn in_bundle(&self, warn: Option<&mut dyn FnMut(Fault)>) -> Result<(), Fault> {
        let mut path = [0; 4096];
        let place = path.get_mut(..self.bundle.len());
        if let Some(place) = place {
            place.copy_from_slice(self.bundle);
        }
        let around = Surroundings {
            step: self.moment.step(),
            cwd: c_text(&path).filter(|path| !path.is_empty()),
            env: Strings::new(b"", 0),
            left: Left::Anything,
        };
        self.run_in(&around, warn)
    }

    fn run_in(
        &self,
        around: &Surroundings<'_>,
        warn: Option<&mut dyn FnMut(Fault)>,
    ) -> Result<(), Fault> {
        if self.list.is_empty() {
            return Ok(());
        }
        let input = hooks::input(|file| {
            let mut bytes = [0; 1024];
            let mut line = Line::to(file, &mut bytes);
            self.tell(&mut line);
            line.finish()
        });
        hooks::run(self.list, &input.step(around.step)?, around, warn)
    }

    /// The state of the container as the specification has it.
    fn tell(&self, line: &mut Line<'_>) {
        let mut object = Object::new(line, false);
        object.container(&Container {
            id: self.id,
            pid: self.pid,
            status: self.moment.status(),
            bundle: self.bundle,
            rootfs: b"",
            created: 0,
            annotations: self.annotations,
        });
        object.end();
    }
}

/// Runs `poststop` hooks when nothing of the container is left: all of them, and what fails is a warning.
pub fn poststop(hooks: &Hooks<'_>, warn: &mut dyn FnMut(Fault)) {
    // A removal may follow a fault that is told of later.
    let said = SAID.take().map(|said| {
        let copy = *said;
        SAID.put_back(said);
        copy
    });
    if let Err(fault) = hooks.in_bundle(Some(&mut *warn)) {
        warn(fault);
    }
    if let (Some(copy), Some(said)) = (said, SAID.take()) {
        *said = copy;
        SAID.put_back(said);
    }
}
