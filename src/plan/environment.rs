//! The environment of the process: each name once, in one piece of the arena.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use super::Plan;
use super::arena::{Arena, Str};
use super::draft::Draft;
use super::process::Process;
use super::service::Service;
use crate::config::Text;
use crate::error::{At, Fault, Step};
use crate::limits::{ENV, FULL, Limit};
use crate::text::cut;

/// Texts of the command line, one after another for who asks.
pub type Each<'e> = &'e dyn Fn(&mut dyn FnMut(&'static CStr));

/// Where in the arena the last entry of each name of the environment is, by hash of the name. At least twice as many as
/// there can be, so that a free slot is always near; only as much of it is used (and touched) as the environment is long.
pub type Seen = [u32; SLOTS];

/// A power of two: of a hash the lowest bits are taken.
pub const SLOTS: usize = slots(ENV);

/// The slots for so many entries, and those of a service manager.
const fn slots(entries: usize) -> usize {
    (2 * (entries + Service::ENTRIES)).next_power_of_two()
}

/// In the place of an entry that is left out: no text is there.
const LEFT_OUT: u32 = u32::MAX;

/// The environment, each name once: the last entry of a name wins, as in runc; getenv would take the first.
pub(super) fn environment(
    draft: &mut Draft<'_>,
    entries: &[Text],
    more: Each<'_>,
    seen: &mut Seen,
) -> Result<(), Fault> {
    let mut count = entries.len();
    more(&mut |_| count += 1);
    if count > ENV {
        return Err(Fault::limit(Step::MakePlan, Limit::ENV, At::Nothing));
    }
    let table = seen.get_mut(..slots(count)).unwrap_or(&mut []);
    table.fill(0);
    let first = draft.plan.arena.used();
    for text in entries {
        let entry = draft.text(*text);
        note(&draft.plan.arena, entry, table);
    }
    let service = draft.request.service;
    draft.plan.process.listens = service.sockets != 0;
    let Plan {
        arena,
        process,
        notify,
        ..
    } = &mut *draft.plan;
    more(&mut |text| {
        let entry = arena.push(text.to_bytes());
        note(arena, entry, table);
    });
    service.environment(*notify, arena, &mut |arena, entry| {
        note(arena, entry, table)
    });
    keep_last(arena, first, table, process);
    Ok(())
}

/// Notes an entry as the last one of its name so far.
fn note<const N: usize>(arena: &Arena<N>, entry: Str, table: &mut [u32]) {
    if let Some(slot) = slot(arena, entry.at, table) {
        *slot = entry.at;
    }
}

/// Moves the entries that are the last ones of their names together, in their order.
fn keep_last<const N: usize>(
    arena: &mut Arena<N>,
    first: usize,
    table: &mut [u32],
    process: &mut Process,
) {
    let offset = |at| u32::try_from(at).unwrap_or(LEFT_OUT);
    let (mut from, mut to, end) = (first, first, arena.used());
    while from < end {
        let text = arena.text_at(offset(from));
        let next = from + text.len() + 1;
        // What the process finds out itself takes their places.
        let unset = text == b"HOME=" || FULL && process.listens && text == b"LISTEN_PID=";
        if let Some(slot) = slot(arena, offset(from), table)
            && *slot == offset(from)
        {
            *slot = LEFT_OUT;
            if !unset {
                let entry = arena.move_down(from, next, to);
                *slot = entry.at;
                let text = arena.bytes(entry);
                process.has_home |= text.starts_with(b"HOME=");
                if text.starts_with(b"PATH=") {
                    process.path = Some(Str {
                        at: entry.at + 5,
                        len: entry.len - 5,
                    });
                }
                process.env.add(entry);
                to += next - from;
            }
        }
        from = next;
    }
    arena.end_at(to);
}

/// The slot of the table where the name of an entry is, or a free one where it belongs.
#[inline(never)] // two callers
fn slot<'t, const N: usize>(
    arena: &Arena<N>,
    at: u32,
    table: &'t mut [u32],
) -> Option<&'t mut u32> {
    let name = |at| cut(arena.text_at(at), b'=').0;
    // FNV-1a.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name(at) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut place = usize::try_from(hash >> 32).unwrap_or(0);
    for _ in 0..table.len() {
        place &= table.len() - 1;
        let other = *table.get(place)?;
        if other == 0 || name(other) == name(at) {
            return table.get_mut(place);
        }
        place += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Arena, Process, keep_last, note};

    /// What is kept of these entries, and whether there is a HOME.
    fn kept(entries: &[&str]) -> (Vec<String>, bool) {
        let (mut arena, mut process) = (Arena::<32_768>::new(), Process::new());
        let mut table = vec![0; (2 * entries.len()).next_power_of_two()];
        arena.push(b"before");
        let first = arena.used();
        for entry in entries {
            let entry = arena.push(entry.as_bytes());
            note(&arena, entry, &mut table);
        }
        keep_last(&mut arena, first, &mut table, &mut process);
        let behind = arena.push(b"behind");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let block = text(arena.from(process.env.first));
        let mut words: Vec<String> = block.split('\0').map(str::to_owned).collect();
        words.truncate(process.env.count);
        if let Some(path) = process.path {
            let entry = format!("PATH={}", text(arena.bytes(path)));
            assert!(words.contains(&entry), "{entry}");
        }
        assert_eq!(arena.bytes(behind), b"behind");
        (words, process.has_home)
    }

    #[test]
    fn the_last_of_a_name_is_kept_in_its_place() {
        for (entries, words, home) in [
            (&[][..], &[][..], false),
            (&["A=1"], &["A=1"], false),
            (&["A=1", "B=2", "A=3"], &["B=2", "A=3"], false),
            (&["A=1", "AB=2", "A="], &["AB=2", "A="], false),
            (&["HOME=/a", "HOME="], &[], false),
            (&["HOME=", "HOME=/a", "X=y"], &["HOME=/a", "X=y"], true),
            (&["PATH=/a", "PATH=/b", "C=c"], &["PATH=/b", "C=c"], false),
        ] {
            let words = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(kept(entries), (words, home), "{entries:?}");
        }
    }

    #[test]
    fn many_names_many_times() {
        let entries: Vec<String> = (0..3000).map(|n| format!("N{}={n}", n % 700)).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        assert_eq!(kept(&entries).0, entries[2300..]);
    }
}
