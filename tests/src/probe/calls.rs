//! Bare system calls, as filters see them.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::kernel::check;

fn numbers(words: &[&str]) -> [u64; 7] {
    let mut all = [0; 7];
    for (to, word) in all.iter_mut().zip(words) {
        *to = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        }
        .expect("a number");
    }
    all
}

fn answer(result: i64) -> io::Result<Value> {
    check(result).map(|result| json!({"result": result}))
}

/// `call NR ARGS…`: the native instruction. An x32 call has bit 30 in its number.
pub fn call(words: &[&str]) -> io::Result<Value> {
    let [nr, a, b, c, d, e, f] = numbers(words).map(u64::cast_signed);
    // SAFETY: the callers pass calls that fail or touch no memory of ours.
    answer(unsafe { libc::syscall(nr, a, b, c, d, e, f) })
}

/// `call32 NR ARGS…`: the instruction of 32-bit x86 programs, which 64-bit ones have, too.
#[cfg(target_arch = "x86_64")]
pub fn call32(words: &[&str]) -> io::Result<Value> {
    let [nr, a, b, c, ..] = numbers(words);
    let result: i64;
    // SAFETY: as above; the compiler keeps rbx for itself, so it is exchanged and given back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) a => _,
            inlateout("rax") nr => result,
            in("rcx") b,
            in("rdx") c,
            in("rsi") 0,
            in("rdi") 0,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    match i32::try_from(result) {
        Ok(error @ -4095..=-1) => Err(io::Error::from_raw_os_error(-error)),
        _ => Ok(json!({"result": result})),
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn call32(_: &[&str]) -> io::Result<Value> {
    Err(io::Error::other("no 32-bit calls here"))
}

static TRAPPED: AtomicI32 = AtomicI32::new(-1);
static ARCH: AtomicU32 = AtomicU32::new(0);

extern "C" fn note(_: i32, info: *const [u32; 8], _: *const u8) {
    // SAFETY: the kernel hands in a siginfo: si_syscall and si_arch are behind three ints, padding and an address.
    let [.., number, arch] = unsafe { *info };
    TRAPPED.store(number.cast_signed(), Ordering::SeqCst);
    ARCH.store(arch, Ordering::SeqCst);
}

/// `trap NR`: what the handler of SIGSYS is told.
pub fn trap(words: &[&str]) -> io::Result<Value> {
    // SAFETY: an all-zero sigaction with a handler that only touches atomics.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut());
    }
    let _ = call(words);
    let (number, arch) = (TRAPPED.load(Ordering::SeqCst), ARCH.load(Ordering::SeqCst));
    Ok(json!({"trapped": number, "arch": arch}))
}

/// `thread NR`: a call by a thread that is not the first one; whether it came back from it.
pub fn thread(words: &[&str]) -> io::Result<Value> {
    static BACK: AtomicU32 = AtomicU32::new(0);
    let [nr, ..] = numbers(words).map(u64::cast_signed);
    std::thread::spawn(move || {
        // SAFETY: as in `call`.
        let result = unsafe { libc::syscall(nr, 0, 0, 0) };
        BACK.store(if result < 0 { 2 } else { 1 }, Ordering::SeqCst);
    });
    std::thread::sleep(Duration::from_millis(100));
    Ok(json!({"back": BACK.load(Ordering::SeqCst)}))
}
