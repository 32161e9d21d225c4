//! For tests that mount: a thread with a mount namespace of its own, and kernels that lack system calls.
//!
//! # Safety
//!
//! The seccomp filter is a complete program whose pointer is valid during the call that loads it; it binds the calling
//! thread only.
#![allow(unsafe_code)]

pub mod libseccomp;

use syscalls::{Sysno, raw_syscall};

use linux_raw_sys::general as k;

/// One instruction, struct sock_filter of linux/filter.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    k: u32,
}

/// Struct sock_fprog of linux/filter.h.
#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

/// Makes system calls answer ENOSYS for this thread, as a kernel does that is too old for them.
fn deny(calls: &[Sysno]) {
    let step = |code, jump_true, k| Instruction {
        code,
        jump_true,
        jump_false: 0,
        k,
    };
    // BPF_LD|BPF_W|BPF_ABS of the number; BPF_JMP|BPF_JEQ|BPF_K; BPF_RET|BPF_K.
    let mut program = vec![step(0x20, 0, 0)];
    for (place, call) in calls.iter().enumerate() {
        let over = u8::try_from(calls.len() - place).unwrap();
        program.push(step(0x15, over, u32::try_from(call.id()).unwrap()));
    }
    program.push(step(0x06, 0, 0x7fff_0000));
    program.push(step(0x06, 0, 0x0005_0000 | 38));
    let program = Program {
        len: u16::try_from(program.len()).unwrap(),
        filter: program.leak().as_ptr(),
    };
    // SAFETY: the program and its instructions live on (leaked); loading it affects this thread.
    let word = unsafe { raw_syscall!(Sysno::seccomp, 1, 0, &raw const program) };
    super::raw(word).expect("root may load a filter");
}

/// Whether this is root; says so when not.
pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIP: needs root");
    }
    root
}

/// Runs `f` in a thread with its own mount namespace, whose changes nobody else sees, and without these system calls.
///
/// # Panics
///
/// When `f` does.
pub fn alone<T: Send + 'static>(
    calls: &'static [Sysno],
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let thread = std::thread::spawn(move || {
        super::ns::unshare(k::CLONE_NEWNS | k::CLONE_FS).unwrap();
        super::mount::mount(c"", c"/", c"", k::MS_PRIVATE | k::MS_REC, c"").unwrap();
        if !calls.is_empty() {
            deny(calls);
        }
        f()
    });
    match thread.join() {
        Ok(answer) => answer,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The calls that came with the new mount interface.
pub const MOUNT_API: &[Sysno] = &[
    Sysno::open_tree,
    Sysno::move_mount,
    Sysno::fsopen,
    Sysno::fsconfig,
    Sysno::fsmount,
    Sysno::mount_setattr,
];

/// A new directory that goes away with the value.
pub struct Scratch(pub std::path::PathBuf);

impl Scratch {
    /// Makes one in the place for temporary files.
    ///
    /// # Panics
    ///
    /// When it cannot.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("ocilet-unit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
