//! Debian's libseccomp, where it is installed: the second opinion on filters.
//!
//! # Safety
//!
//! The functions have the signatures of seccomp.h, and the library is never unloaded. A context is used between
//! `seccomp_init` and `seccomp_release`; the arrays handed in are as long as the number beside them says.
#![allow(unsafe_code)]

use crate::sys::{AsRawFd, OwnedFd};
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ffi::CString;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type Context = *mut c_void;

/// `struct scmp_arg_cmp`: argument, `enum scmp_compare`, operands.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Which argument.
    pub arg: c_uint,
    /// NE 1, LT 2, LE 3, EQ 4, GE 5, GT 6, MASKED_EQ 7.
    pub op: c_int,
    /// The operand or the mask.
    pub first: u64,
    /// What is masked.
    pub second: u64,
}

/// A rule: name, action, conditions.
pub type Rule<'a> = (&'a str, u32, Vec<Condition>);

type Init = unsafe extern "C" fn(u32) -> Context;
type Release = unsafe extern "C" fn(Context);
type Arch = unsafe extern "C" fn(Context, u32) -> c_int;
type Resolve = unsafe extern "C" fn(*const c_char) -> c_int;
type ResolveArch = unsafe extern "C" fn(u32, *const c_char) -> c_int;
type RuleAdd = unsafe extern "C" fn(Context, u32, c_int, c_uint, *const Condition) -> c_int;
type Export = unsafe extern "C" fn(Context, c_int) -> c_int;

/// The library.
pub struct Libseccomp {
    init: Init,
    release: Release,
    arch_add: Arch,
    arch_remove: Arch,
    resolve: Resolve,
    resolve_arch: ResolveArch,
    rule_add: RuleAdd,
    export: Export,
}

impl Libseccomp {
    /// `None`, and says so, where it is not installed.
    #[must_use]
    pub fn open() -> Option<Self> {
        const RTLD_NOW: c_int = 2;
        // SAFETY: a library without constructors that would matter.
        let library = unsafe { dlopen(c"libseccomp.so.2".as_ptr(), RTLD_NOW) };
        if library.is_null() {
            eprintln!("SKIP: libseccomp.so.2 is not installed");
            return None;
        }
        let symbol = |name: &CStr| {
            // SAFETY: the library is open.
            let symbol = unsafe { dlsym(library, name.as_ptr()) };
            assert!(!symbol.is_null(), "{name:?}");
            symbol
        };
        macro_rules! function {
            ($name:literal, $signature:ty) => {{
                let symbol = symbol($name);
                // SAFETY: the signature is that of seccomp.h.
                unsafe { core::mem::transmute::<*mut c_void, $signature>(symbol) }
            }};
        }
        Some(Self {
            init: function!(c"seccomp_init", Init),
            release: function!(c"seccomp_release", Release),
            arch_add: function!(c"seccomp_arch_add", Arch),
            arch_remove: function!(c"seccomp_arch_remove", Arch),
            resolve: function!(c"seccomp_syscall_resolve_name", Resolve),
            resolve_arch: function!(c"seccomp_syscall_resolve_name_arch", ResolveArch),
            rule_add: function!(c"seccomp_rule_add_array", RuleAdd),
            export: function!(c"seccomp_export_bpf", Export),
        })
    }

    /// The number of a name; negative for a name that this architecture does not have.
    #[must_use]
    pub fn number(&self, arch: u32, name: &str) -> i32 {
        let name = CString::new(name).expect("no NUL");
        // SAFETY: a C string.
        unsafe { (self.resolve_arch)(arch, name.as_ptr()) }
    }

    /// The program for some architectures (tokens of seccomp.h), or the first error of a rule that is none of "there
    /// is one already". Names that it does not know are left out.
    ///
    /// # Errors
    ///
    /// What `seccomp_rule_add` says.
    pub fn compile(
        &self,
        default: u32,
        arches: &[u32],
        rules: &[Rule<'_>],
    ) -> Result<Vec<[u8; 8]>, i32> {
        const NATIVE: u32 = 0;
        const EXISTS: c_int = -17;
        // SAFETY: any action.
        let context = unsafe { (self.init)(default) };
        assert!(!context.is_null(), "action {default:#x}");
        for arch in arches {
            // SAFETY: the context lives.
            let added = unsafe { (self.arch_add)(context, *arch) };
            assert!(added == 0 || added == EXISTS, "architecture {arch:#x}");
        }
        if !arches.contains(&0xc000_003e) {
            // SAFETY: the context lives.
            unsafe { (self.arch_remove)(context, NATIVE) };
        }
        let mut error = 0;
        for (name, action, conditions) in rules {
            let text = CString::new(*name).expect("no NUL");
            // SAFETY: a C string.
            let number = unsafe { (self.resolve)(text.as_ptr()) };
            if number == -1 {
                continue;
            }
            let count = u32::try_from(conditions.len()).expect("a few");
            // SAFETY: the context lives, and so do the conditions.
            let added =
                unsafe { (self.rule_add)(context, *action, number, count, conditions.as_ptr()) };
            if added != 0 && added != EXISTS && error == 0 {
                error = added;
            }
        }
        let file = rustix::fs::memfd_create(c"filter", rustix::fs::MemfdFlags::CLOEXEC);
        let file = OwnedFd::from(file.expect("a memfd"));
        // SAFETY: the context lives, and the file is open.
        let exported = unsafe { (self.export)(context, file.as_raw_fd()) };
        // SAFETY: the last use of the context.
        unsafe { (self.release)(context) };
        assert_eq!(exported, 0, "export");
        let mut bytes = vec![0; 1 << 20];
        let length = rustix::io::pread(&file, bytes.as_mut_slice(), 0).expect("readable");
        let words = bytes[..length].chunks_exact(8);
        let words = words.map(|word| word.try_into().expect("eight bytes"));
        if error == 0 {
            Ok(words.collect())
        } else {
            Err(error)
        }
    }
}
