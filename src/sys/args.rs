//! The argument and environment block that the kernel put on the stack.
//!
//! # Safety
//!
//! The block lives as long as the process and nothing writes to it, so `&'static CStr` into it are sound.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char, c_int};

/// The words of the command line and, behind them, the environment.
#[derive(Clone, Copy)]
pub struct Args {
    argc: usize,
    argv: *const *const c_char,
}

/// Wraps what the crt passed to `main`.
///
/// # Safety
///
/// `argv` points to `argc` string pointers, a null, the environment's string pointers, and a null, all immutable and
/// alive for the rest of the process.
#[must_use]
pub unsafe fn from_crt(argc: c_int, argv: *const *const c_char) -> Args {
    Args {
        argc: usize::try_from(argc).unwrap_or(0),
        argv,
    }
}

impl Args {
    /// The `n`th word; 0 is the name of the program.
    #[must_use]
    pub fn get(self, n: usize) -> Option<&'static CStr> {
        if n >= self.argc {
            return None;
        }
        // SAFETY: n < argc, and the crt's block has argc pointers.
        let pointer = unsafe { *self.argv.wrapping_add(n) };
        // SAFETY: the pointer is one of the argc strings of the block, NUL-terminated and never written to.
        Some(unsafe { CStr::from_ptr(pointer) })
    }

    /// The number of words, with the name of the program.
    #[must_use]
    pub fn len(self) -> usize {
        self.argc
    }

    /// Whether there is not even a name of the program (possible through execve(2)).
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.argc == 0
    }

    /// The words.
    pub fn words(self) -> impl Iterator<Item = &'static CStr> {
        (0..self.argc).filter_map(move |n| self.get(n))
    }

    /// The value of an environment variable of the runtime itself.
    #[must_use]
    pub fn env(self, name: &[u8]) -> Option<&'static CStr> {
        let mut n = self.argc + 1;
        loop {
            // SAFETY: the environment follows the null after argv[argc]; the loop ends at its null.
            let pointer = unsafe { *self.argv.wrapping_add(n) };
            if pointer.is_null() {
                return None;
            }
            // SAFETY: a non-null pointer of the environment block, NUL-terminated and never written to.
            let entry = unsafe { CStr::from_ptr(pointer) };
            if let Some(value) = entry
                .to_bytes_with_nul()
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(b"="))
            {
                return crate::text::c_text(value);
            }
            n += 1;
        }
    }

    /// AT_SECURE of the auxiliary vector, man 3 getauxval: the binary is setuid, setgid or has file capabilities, so the
    /// caller has fewer rights than the process.
    #[must_use]
    pub fn is_secure(self) -> bool {
        const AT_SECURE: usize = 23;
        let mut n = self.argc + 1;
        // SAFETY: the environment follows the null after argv[argc]; the loop ends at its null.
        while !unsafe { *self.argv.wrapping_add(n) }.is_null() {
            n += 1;
        }
        let mut pair = self.argv.wrapping_add(n + 1).cast::<[usize; 2]>();
        loop {
            // SAFETY: the kernel puts the auxiliary vector behind the environment's null, pairs of words up to one of
            // type 0.
            match unsafe { *pair } {
                [0, _] => return false,
                [AT_SECURE, value] => return value != 0,
                _ => pair = pair.wrapping_add(1),
            }
        }
    }

    /// argv as execve(2) takes it: for the re-execution of the sealed copy.
    pub fn argv(self) -> *const *const c_char {
        self.argv
    }

    /// envp as execve(2) takes it.
    pub fn envp(self) -> *const *const c_char {
        // One past the null that ends argv is the first environment pointer of the block.
        self.argv.wrapping_add(self.argc + 1)
    }
}

#[cfg(test)]
impl Args {
    /// Words of a test, with an empty environment; leaked, as the block of a process lives for ever.
    pub(crate) fn of(words: &[&str]) -> Self {
        let leak = |word: &&str| {
            std::ffi::CString::new(*word)
                .unwrap()
                .into_raw()
                .cast_const()
        };
        let mut block: Vec<*const c_char> = words.iter().map(leak).collect();
        // No environment, no auxiliary vector.
        block.extend([core::ptr::null(); 4]);
        Self {
            argc: words.len(),
            argv: block.leak().as_ptr(),
        }
    }
}
