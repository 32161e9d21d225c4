//! A new file system as a detached mount (fsopen, Linux 5.2).
#![forbid(unsafe_code)]

use core::ffi::CStr;

use linux_raw_sys::general as k;

use super::attributes;
use crate::error::Errno;
use crate::sys::{OwnedFd, mount};
use crate::text::c_text;

/// Flags of the file system itself, with their names in fsconfig.
const NAMES: [(u32, &CStr); 5] = [
    (k::MS_RDONLY, c"ro"),
    (k::MS_SYNCHRONOUS, c"sync"),
    (k::MS_DIRSYNC, c"dirsync"),
    (k::MS_MANDLOCK, c"mand"),
    (k::MS_LAZYTIME, c"lazytime"),
];

/// Flags that only mount(2) can pass on.
const OLD: u32 = k::MS_SILENT | k::MS_I_VERSION;

/// Longest option that fsconfig takes, with the NUL behind its value.
const OPTION: usize = 256;

/// Makes one, with `flags` for the file system and `set` for the mount of it. `data` is what mount(2) would take: options
/// joined with commas.
///
/// # Errors
///
/// The kernel's. EOPNOTSUPP for options that this way cannot pass on: mount(2) can.
pub(super) fn make(
    fstype: &CStr,
    source: &CStr,
    data: &[u8],
    flags: u32,
    set: u32,
) -> Result<OwnedFd, Errno> {
    // Quotes and backslashes are read by some file systems in mount(2)'s string, which fsconfig does not have.
    if flags & OLD != 0 || data.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
        return Err(Errno::OPNOTSUPP);
    }
    let fs = mount::open_fs(fstype)?;
    if !source.is_empty() {
        mount::configure(&fs, c"source", Some(source))?;
    }
    for (flag, name) in NAMES {
        if flags & flag != 0 {
            mount::configure(&fs, name, None)?;
        }
    }
    for option in data.split(|byte| *byte == b',') {
        if !option.is_empty() {
            configure(&fs, option)?;
        }
    }
    mount::make(&fs, attributes::of_flags(set))
}

/// Passes one option on, `key` or `key=value`.
fn configure(fs: &OwnedFd, option: &[u8]) -> Result<(), Errno> {
    let mut text = [0; OPTION];
    let place = text.get_mut(..option.len()).ok_or(Errno::OPNOTSUPP)?;
    place.copy_from_slice(option);
    let equals = option.iter().position(|byte| *byte == b'=');
    if let Some(byte) = equals.and_then(|at| text.get_mut(at)) {
        *byte = 0;
    }
    let key = c_text(&text).ok_or(Errno::OPNOTSUPP)?;
    let value = match equals {
        Some(at) => {
            let rest = text.get(at + 1..).unwrap_or(&[]);
            Some(c_text(rest).ok_or(Errno::OPNOTSUPP)?)
        }
        None => None,
    };
    mount::configure(fs, key, value)
}
