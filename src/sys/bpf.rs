//! Device programs on cgroups: bpf(2).
//!
//! # Safety
//!
//! Each command gets a struct that begins like `union bpf_attr` (linux/bpf.h) for it, with its size, and whose
//! addresses point to live memory of the length beside them.
#![allow(unsafe_code)]

use syscalls::{Sysno, raw_syscall};

use super::{AsRawFd, BorrowedFd, Errno, FromRawFd, OwnedFd, raw};

const PROG_LOAD: u32 = 5;
const PROG_ATTACH: u32 = 8;
const PROG_DETACH: u32 = 9;
const PROG_GET_FD_BY_ID: u32 = 13;
const PROG_QUERY: u32 = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// BPF_PROG_LOAD up to and with `prog_flags` (kernel 4.13).
#[repr(C)]
struct Load {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// BPF_PROG_ATTACH and BPF_PROG_DETACH; the fd to be replaced (kernel 5.6) is left out.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// BPF_PROG_QUERY.
#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    reserved: u32,
}

/// BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// `int bpf(int cmd, union bpf_attr *attr, unsigned int size)`, man 2 bpf.
fn bpf<T>(command: u32, attributes: &mut T) -> Result<usize, Errno> {
    // SAFETY: the callers below pass the struct of the command, and the size is its own.
    raw(unsafe {
        raw_syscall!(
            Sysno::bpf,
            command,
            core::ptr::from_mut(attributes),
            size_of::<T>()
        )
    })
}

fn number(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    u32::try_from(fd.as_raw_fd()).map_err(|_| Errno::BADF)
}

/// BPF_PROG_LOAD of a BPF_PROG_TYPE_CGROUP_DEVICE program, kernel 4.15. `words` are `struct bpf_insn`.
///
/// # Errors
///
/// EPERM without CAP_BPF (or CAP_SYS_ADMIN), and before 5.11 when RLIMIT_MEMLOCK is too small; EINVAL or EACCES from the
/// verifier, or without CONFIG_CGROUP_BPF; E2BIG: too many instructions (4096 before 5.2); ENOSYS without
/// CONFIG_BPF_SYSCALL.
pub fn load_device_program(words: &[u64]) -> Result<OwnedFd, Errno> {
    let mut load = Load {
        program_type: PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(words.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: words.as_ptr().expose_provenance() as u64,
        // A program without helpers may have any license.
        license: c"Apache-2.0".as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    descriptor(bpf(PROG_LOAD, &mut load)?)
}

fn descriptor(word: usize) -> Result<OwnedFd, Errno> {
    let fd = i32::try_from(word).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel made this descriptor (close-on-exec) for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// BPF_PROG_ATTACH to a cgroup directory, beside programs that are there (BPF_F_ALLOW_MULTI): all of them must agree.
///
/// # Errors
///
/// EPERM: an ancestor forbids it; EINVAL without CONFIG_CGROUP_BPF; E2BIG: 64 programs are there; EBADF: no v2 cgroup.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attach = Attach {
        target: number(cgroup)?,
        program: number(program)?,
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &mut attach).map(drop)
}

/// BPF_PROG_QUERY: the ids of the device programs attached to this very cgroup; as many as fit, 64 at most exist.
///
/// # Errors
///
/// As [`attach_device_program`].
pub fn device_programs<'b>(
    cgroup: BorrowedFd<'_>,
    ids: &'b mut [u32; 64],
) -> Result<&'b [u32], Errno> {
    let mut query = Query {
        target: number(cgroup)?,
        kind: CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: 64,
        reserved: 0,
    };
    bpf(PROG_QUERY, &mut query)?;
    let count = usize::try_from(query.count).unwrap_or(0);
    Ok(ids.get(..count).unwrap_or(&[]))
}

/// BPF_PROG_GET_FD_BY_ID and BPF_PROG_DETACH: takes one program off a cgroup.
///
/// # Errors
///
/// ENOENT: it has gone already; EPERM without CAP_SYS_ADMIN.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, id: u32) -> Result<(), Errno> {
    let mut by_id = ById {
        id,
        next: 0,
        flags: 0,
    };
    let program = descriptor(bpf(PROG_GET_FD_BY_ID, &mut by_id)?)?;
    let mut detach = Attach {
        target: number(cgroup)?,
        program: number(super::AsFd::as_fd(&program))?,
        kind: CGROUP_DEVICE,
        flags: 0,
    };
    bpf(PROG_DETACH, &mut detach).map(drop)
}
