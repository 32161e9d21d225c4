//! Seccomp filters that make a new kernel answer like an old one: later syscalls are ENOSYS.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Syscalls that fallbacks are written for. Numbers from 424 on are the same on every architecture.
const NAMES: &[(&str, i64)] = &[
    ("memfd_create", libc::SYS_memfd_create),
    ("statx", libc::SYS_statx),
    ("execveat", libc::SYS_execveat),
    ("copy_file_range", libc::SYS_copy_file_range),
    ("keyctl", libc::SYS_keyctl),
    ("bpf", libc::SYS_bpf),
    ("pidfd_send_signal", 424),
    ("open_tree", 428),
    ("move_mount", 429),
    ("fsopen", 430),
    ("fsconfig", 431),
    ("fsmount", 432),
    ("fspick", 433),
    ("pidfd_open", 434),
    ("clone3", 435),
    ("close_range", 436),
    ("openat2", 437),
    ("pidfd_getfd", 438),
    ("faccessat2", 439),
    ("epoll_pwait2", 441),
    ("mount_setattr", 442),
    ("fchmodat2", 452),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("open_tree_attr", 467),
];

/// A filter that is ready to be installed.
#[derive(Clone)]
pub struct Filter(Vec<libc::sock_filter>);

fn op(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

impl Filter {
    /// This error for these syscalls.
    pub fn answering(errno: i32, denied: &[i64]) -> Self {
        Self::new(errno, denied, None)
    }

    /// This error for these syscalls and for everything from `first` on.
    fn new(errno: i32, denied: &[i64], first: Option<u32>) -> Self {
        let error = libc::SECCOMP_RET_ERRNO | errno as u32;
        let mut program = vec![op(LOAD, 0, 0, 0)];
        for &number in denied {
            program.push(op(EQUAL, 0, 1, number as u32));
            program.push(op(RETURN, 0, 0, error));
        }
        if let Some(first) = first {
            program.push(op(AT_LEAST, 0, 1, first));
            program.push(op(RETURN, 0, 0, error));
        }
        program.push(op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
        Self(program)
    }

    /// Installs the filter in this thread, for good. Needs CAP_SYS_ADMIN, since no_new_privs stays as it is.
    pub fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the program outlives the call, its length is that of the vector.
        let result = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        };
        crate::kernel::check(result).map(drop)
    }
}

/// The filter of a kernel version, or of a list `a,b,c` of syscall names.
pub fn profile(name: &str) -> Option<Filter> {
    let later = |denied: &[i64], first| Filter::new(libc::ENOSYS, denied, first);
    Some(match name {
        // mount_setattr came with 5.12, epoll_pwait2 (441) with 5.11.
        "5.10" => later(&[], Some(441)),
        // 5.4 has clone3, but not CLONE_INTO_CGROUP, and a filter cannot look into its structure.
        "5.4" => later(&[435], Some(436)),
        // The last one before pidfds and the mount API.
        "4.19" => later(&[], Some(424)),
        list => {
            let numbers: Option<Vec<i64>> = list
                .split(',')
                .map(|word| {
                    NAMES
                        .iter()
                        .find(|(known, _)| *known == word)
                        .map(|&(_, number)| number)
                        .or_else(|| word.parse().ok())
                })
                .collect();
            later(&numbers?, None)
        }
    })
}

/// `shim (--profile P | --enosys LIST) -- COMMAND…`.
pub fn main(args: &[String]) -> ExitCode {
    let [_, what, dashes, program, rest @ ..] = args else {
        return ExitCode::from(2);
    };
    let Some(filter) = profile(what).filter(|_| dashes == "--") else {
        eprintln!("shim: unknown syscall or profile in {what}");
        return ExitCode::from(2);
    };
    if let Err(error) = filter.install() {
        eprintln!("shim: {error}");
        return ExitCode::from(2);
    }
    let error = Command::new(program).args(rest).exec();
    eprintln!("shim: {program}: {error}");
    ExitCode::from(127)
}
