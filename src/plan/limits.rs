//! From `linux.resources` to files and values: cgroup v1 takes the numbers as they are, cgroup v2 some converted.
//!
//! 0 leaves a limit as it is, −1 means that there is none. What a host or an interface has nothing for is refused, never
//! passed over. Values are in the order in which they are written.
#![forbid(unsafe_code)]

pub(super) mod weight;

use super::arena::{Arena, Str};
use crate::cgroup::limits::{Entry, How, Limits, Value};
use crate::cgroup::{Hierarchies, Mode};
use crate::config::{BlockIo, Cpu, Memory, Pids, Pools, Resources, Text};
use crate::error::{At, Cause, Fault, Feature, Rule, Step};
use crate::limits::FULL;
use crate::text::pieces;

/// What limits are for.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The limits.
    pub resources: &'a Resources,
    /// Their lists.
    pub pools: &'a Pools,
    /// Their document.
    pub doc: &'a [u8],
    /// The interface.
    pub mode: Mode,
    /// The memory limit of a container that has one already.
    pub memory: Option<i64>,
}

/// How values are written: [`Maker::put`] says what the signs mean.
const FORMS: &str = include_str!("limits/forms.txt");

// Lines of `forms.txt`. Its first lines are for single numbers, each of which is passed over where it is 0.
const IDLE: usize = 12;
const SWAPPINESS: usize = 22;
const NOT_IDLE: usize = 23;
const NO_SWAP: usize = 24;
const WEIGHT_DEVICE: usize = 25;
const THROTTLES: usize = 28;
const CPUSET: usize = 32;
const HUGE_PAGES: usize = 34;
const PRIORITY: usize = 36;
const RDMA: usize = 37;
const UNIFIED: usize = 39;

/// Appends all values to `limits`, their text to the arena. What cannot be had is noted there, at its place in the
/// document, unless the policy leaves it out.
pub fn make(
    subject: Subject<'_>,
    hierarchies: &Hierarchies,
    arena: &mut Arena,
    limits: &mut Limits,
) {
    if !FULL {
        return;
    }
    let all = subject.resources;
    let mut maker = Maker {
        subject,
        hierarchies,
        arena,
        limits,
        at: 0,
        texts: [Text::default(); 2],
    };
    if let Some(pids) = &all.pids {
        maker.numbers(pids.at, 0, &[tasks(pids)]);
    }
    if let Some(memory) = &all.memory {
        maker.memory(memory);
    }
    if let Some(io) = &all.block_io {
        maker.block_io(io);
    }
    if let Some(cpu) = &all.cpu {
        maker.cpu(cpu);
    }
    maker.lists(all);
}

/// The kernel's numbers have 63 bits, those of the document have 64: what is beyond is no limit at all either way.
pub(super) fn signed(number: impl Into<u64>) -> i64 {
    i64::try_from(number.into()).unwrap_or(i64::MAX)
}

/// The limit of processes, negative for none. No process at all would be a container that cannot be made: 0 is 1, as
/// elsewhere.
pub(super) fn tasks(it: &Pids) -> i64 {
    it.limit
        .map_or(-1, |limit| limit.max(-1) + i64::from(limit == 0))
}

/// The limit of memory and swap together, negative for none, 0 to leave it as it is.
fn memory_and_swap(it: &Memory) -> i64 {
    match it.swap.unwrap_or(0) {
        // No limit for memory and nothing said of swap: no limit for both.
        0 if it.limit.unwrap_or(0) < 0 => -1,
        both => both,
    }
}

/// That of swap alone, as cgroup v2 has it; `had` is the memory limit of a container that has one already.
pub(super) fn swap(it: &Memory, had: Option<i64>) -> Result<Option<i64>, Rule> {
    let both = memory_and_swap(it);
    let memory = match it.limit.unwrap_or(0) {
        0 => had.unwrap_or(0),
        limit => limit,
    };
    match both {
        0 => Ok(None),
        ..0 => Ok(Some(both)),
        _ if memory > both => Err(Rule::SwapBelowLimit),
        _ if memory <= 0 => Err(Rule::SwapNeedsLimit),
        _ => Ok(Some(both - memory)),
    }
}

struct Maker<'a> {
    subject: Subject<'a>,
    /// The container's cgroups.
    hierarchies: &'a Hierarchies,
    arena: &'a mut Arena,
    limits: &'a mut Limits,
    /// Where the limits that are being made stand in the document.
    at: u32,
    /// What stands for `$` in a form, in order.
    texts: [Text; 2],
}

impl Maker<'_> {
    fn v2(&self) -> bool {
        self.subject.mode == Mode::V2
    }

    /// Single numbers in the order of the forms from one on.
    fn numbers(&mut self, at: u32, first: usize, numbers: &[i64]) {
        self.at = at;
        for (form, number) in (first..).zip(numbers) {
            if *number != 0 {
                self.put(form, &[*number]);
            }
        }
    }

    /// One value, whose form is `v1 file=value|v2 file=value`; an interface with nothing there does not have it, and one
    /// with a dash gets it in another way.
    ///
    /// The first letter of each is how it is written: `?` Optional, `/` OrNext, `<` AfterNext, `+` BehindFirst, `^`
    /// AtMost, a blank Plain. In them `%` is the next number, `#` the next one with "max" for a negative one, `$` the next
    /// text. The controller is the first word of the file. A negative number, which is no limit, need not be written
    /// where there is nothing to limit.
    #[inline(never)] // many callers
    fn put(&mut self, form: usize, numbers: &[i64]) {
        let missing = match self.subject.mode {
            Mode::V1 => Rule::OnlyV2,
            Mode::V2 => Rule::OnlyV1,
            Mode::None => Rule::LimitsNeedCgroups,
        };
        let none = numbers.first().is_some_and(|number| *number < 0);
        let mut form = FORMS.lines().nth(form).unwrap_or_default().chars();
        if self.v2() {
            form.by_ref().find(|letter| *letter == '|');
        }
        let how = match form.next().filter(|_| self.subject.mode != Mode::None) {
            Some('-') => return,
            Some('<') => How::AfterNext,
            Some('+') => How::BehindFirst,
            Some('/') => How::OrNext,
            Some('^') => How::AtMost,
            Some('?') => How::Optional,
            Some(' ') => How::Plain,
            _ => return self.refuse(none, Cause::Rule(missing)),
        };
        let (mut numbers, mut texts) = (numbers.iter(), self.texts.iter());
        let mut file = None;
        for letter in form.take_while(|letter| *letter != '|') {
            match letter {
                '%' | '#' => match numbers.next() {
                    Some(i64::MIN..0) if letter == '#' => self.arena.put(b"max"),
                    number => self.arena.put_number(number.copied().unwrap_or(0)),
                },
                '$' => {
                    let text = texts.next().copied().unwrap_or_default();
                    for byte in text.bytes(self.subject.doc) {
                        self.arena.add(byte);
                    }
                }
                '=' if file.is_none() => file = Some(self.arena.close(At::Byte(self.at))),
                letter => self.arena.add(u8::try_from(letter).unwrap_or(0)),
            }
        }
        let text = self.arena.close(At::Byte(self.at));
        let file = file.unwrap_or(Str::EMPTY);
        let name = self.arena.bytes(file);
        match self.row(name) {
            Some(row) => self.push(Entry::Value(Value {
                row,
                how,
                file,
                text,
            })),
            None => self.refuse(none, Cause::Missing(Feature::of(name), 0)),
        }
    }

    /// The hierarchy that has a file.
    fn row(&self, file: &[u8]) -> Option<u8> {
        let controller = pieces(file, b'.').next()?;
        let controller = if self.v2() { b"" } else { controller };
        let mut rows = self.hierarchies.iter();
        u8::try_from(rows.position(|row| row.has(controller))?).ok()
    }

    /// What cannot be had, unless it is `none` at all.
    fn refuse(&mut self, none: bool, cause: Cause) {
        if !none {
            let fault = Fault::placed(Step::PlanLimits, cause, At::Byte(self.at));
            self.push(Entry::Refused(fault));
        }
    }

    fn push(&mut self, entry: Entry) {
        if let Err(fault) = self.limits.push(entry) {
            self.arena.fail(fault);
        }
    }

    fn memory(&mut self, it: &Memory) {
        self.at = it.at;
        let limit = it.limit.unwrap_or(0);
        let both = memory_and_swap(it);
        let mut alone = 0;
        if self.v2() {
            match swap(it, self.subject.memory) {
                Err(rule) => return self.refuse(false, Cause::Rule(rule)),
                // Without swap there is none to be had.
                Ok(Some(0)) => self.put(NO_SWAP, &[0]),
                Ok(swap) => alone = swap.unwrap_or(0),
            }
        } else if both > 0 && limit > both {
            return self.refuse(false, Cause::Rule(Rule::SwapBelowLimit));
        }
        let check = it.check_before_update == Some(true) && limit > 0;
        let numbers = [
            if check { limit } else { 0 },
            alone,
            limit,
            both,
            it.reservation.unwrap_or(0),
            it.kernel.unwrap_or(0),
            it.kernel_tcp.unwrap_or(0),
            i64::from(it.disable_oom_killer.unwrap_or(false)),
        ];
        self.numbers(it.at, 1, &numbers);
        if let Some(percent) = it.swappiness {
            self.put(SWAPPINESS, &[signed(percent)]);
        }
    }

    fn cpu(&mut self, it: &Cpu) {
        self.at = it.at;
        if it.idle == Some(0) {
            self.put(NOT_IDLE, &[0]);
        }
        let (quota, period) = (it.quota.unwrap_or(0), signed(it.period.unwrap_or(0)));
        // In v2 they share a file.
        let both = self.v2() && quota != 0 && period != 0;
        let alone = |it: i64| if both { 0 } else { it };
        let idle = it.idle.unwrap_or(0);
        let weight = weight::of_cpu(it, self.subject.mode);
        self.numbers(it.at, IDLE, &[idle, weight, period, alone(quota)]);
        if both {
            self.put(IDLE + 4, &[quota, period]);
        }
        let numbers = [
            if quota == 0 { period } else { 0 },
            signed(it.burst.unwrap_or(0)),
            signed(it.realtime_period.unwrap_or(0)),
            it.realtime_runtime.unwrap_or(0),
        ];
        self.numbers(it.at, IDLE + 5, &numbers);
        for (form, list) in (CPUSET..).zip([it.cpus, it.mems]) {
            if let Some(list) = list {
                self.texts = [list; 2];
                self.put(form, &[]);
            }
        }
    }

    /// Weights belong to whichever scheduler the kernel has: BFQ's own, or those of v1 CFQ and v2 iocost.
    fn block_io(&mut self, it: &BlockIo) {
        let pools = self.subject.pools;
        let numbers = self.weights(it.weight, it.leaf_weight);
        self.numbers(it.at, 9, &numbers);
        for it in it.weight_devices.of(&pools.weight_devices) {
            self.at = it.at;
            let numbers = self.weights(it.weight, it.leaf_weight);
            for (form, number) in (WEIGHT_DEVICE..).zip(numbers) {
                if number != 0 {
                    self.put(form, &[i64::from(it.major), i64::from(it.minor), number]);
                }
            }
        }
        let lists = [it.read_bps, it.write_bps, it.read_iops, it.write_iops];
        for (form, list) in (THROTTLES..).zip(lists) {
            for it in list.of(&pools.throttle_devices) {
                self.at = it.at;
                // v1 takes 0 for none.
                let rate = match it.rate {
                    0 if self.v2() => -1,
                    rate => signed(rate),
                };
                self.put(form, &[i64::from(it.major), i64::from(it.minor), rate]);
            }
        }
    }

    /// The weight in both ways, and that of leaves.
    #[inline(never)] // of every device, too
    fn weights(&self, weight: Option<u16>, leaf: Option<u16>) -> [i64; 3] {
        let plain = |it: Option<u16>| i64::from(it.unwrap_or(0));
        let own = weight::of_io(weight, self.subject.mode);
        [plain(weight), own, plain(leaf)]
    }

    fn lists(&mut self, all: &Resources) {
        let pools = self.subject.pools;
        for it in all.hugepage_limits.of(&pools.hugepage_limits) {
            self.at = it.at;
            self.texts = [it.page_size; 2];
            // It counts at the use of pages, and where the kernel can do that (5.7) at their reservation.
            for form in [HUGE_PAGES, HUGE_PAGES + 1] {
                self.put(form, &[signed(it.limit)]);
            }
        }
        if let Some(network) = &all.network {
            let class = i64::from(network.class_id.unwrap_or(0));
            self.numbers(network.at, IDLE + 9, &[class]);
            for it in network.priorities.of(&pools.net_priorities) {
                self.at = it.at;
                self.texts = [it.name; 2];
                self.put(PRIORITY, &[i64::from(it.priority)]);
            }
        }
        for it in all.rdma.of(&pools.rdma) {
            self.at = it.at;
            self.texts = [it.device; 2];
            for (form, number) in (RDMA..).zip([it.hca_handles, it.hca_objects]) {
                if let Some(number) = number {
                    self.put(form, &[i64::from(number)]);
                }
            }
        }
        for pair in all.unified.of(&pools.unified) {
            self.at = pair.key.start().saturating_sub(1);
            self.texts = [pair.key, pair.value];
            self.put(UNIFIED, &[]);
        }
    }
}

#[cfg(test)]
mod tests;
