//! `binary PATH INSPECT SIZE`: the built binary is static, small, and holds no allocator and no formatting.

use std::fs;
use std::process::ExitCode;

const LOADABLE: u32 = 1;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const STACK: u32 = 0x6474_e551;
const SYMBOLS: u32 = 2;

/// A 64-bit little-endian ELF file.
struct Elf<'a>(&'a [u8]);

impl Elf<'_> {
    fn number(&self, at: usize, width: usize) -> usize {
        let bytes = self.0.get(at..at + width).unwrap_or(&[]);
        bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
    }

    /// (type, flags, offset, size) of the program headers.
    fn segments(&self) -> Vec<(u32, u32, usize, usize)> {
        let (start, size, count) = (self.number(32, 8), self.number(54, 2), self.number(56, 2));
        (0..count)
            .map(|index| start + index * size)
            .map(|at| {
                (
                    self.number(at, 4) as u32,
                    self.number(at + 4, 4) as u32,
                    self.number(at + 8, 8),
                    self.number(at + 32, 8),
                )
            })
            .collect()
    }

    /// Names of the defined symbols.
    fn symbols(&self) -> Vec<String> {
        let (start, size, count) = (self.number(40, 8), self.number(58, 2), self.number(60, 2));
        let mut names = Vec::new();
        for header in (0..count).map(|index| start + index * size) {
            if self.number(header + 4, 4) as u32 != SYMBOLS {
                continue;
            }
            let (at, bytes) = (self.number(header + 24, 8), self.number(header + 32, 8));
            let strings = start + self.number(header + 40, 4) * size;
            let strings = self.number(strings + 24, 8);
            for entry in (at..at + bytes).step_by(24) {
                let text = self.0.get(strings + self.number(entry, 4)..).unwrap_or(&[]);
                let text: Vec<u8> = text.iter().copied().take_while(|&byte| byte != 0).collect();
                if self.number(entry + 6, 2) != 0 {
                    names.push(String::from_utf8_lossy(&text).into_owned());
                }
            }
        }
        names
    }

    /// DT_NEEDED entries.
    fn needed(&self) -> usize {
        self.segments()
            .iter()
            .filter(|segment| segment.0 == DYNAMIC)
            .flat_map(|&(_, _, at, size)| (at..at + size).step_by(16))
            .filter(|&at| self.number(at, 8) == 1)
            .count()
    }
}

fn structure(elf: &Elf<'_>) -> Vec<String> {
    let mut bad = Vec::new();
    let segments = elf.segments();
    if segments.is_empty() {
        bad.push("no program headers: not an ELF64 file?".to_owned());
    }
    if segments.iter().any(|segment| segment.0 == INTERPRETER) {
        bad.push("has an interpreter: not static".to_owned());
    }
    if elf.needed() > 0 {
        bad.push("needs shared libraries".to_owned());
    }
    if elf.number(16, 2) != 3 {
        bad.push("is not position independent (static-pie)".to_owned());
    }
    for (kind, flags, ..) in segments {
        if kind == LOADABLE && flags & 3 == 3 {
            bad.push("has a segment that is writable and executable".to_owned());
        }
        if kind == STACK && flags & 1 == 1 {
            bad.push("has an executable stack".to_owned());
        }
    }
    bad
}

/// Functions of an allocator, of formatting and of unwinding that may not have been linked.
fn forbidden(symbol: &str) -> bool {
    let exact = [
        "malloc",
        "free",
        "calloc",
        "realloc",
        "memalign",
        "aligned_alloc",
        "posix_memalign",
        "brk",
        "sbrk",
        "mmap",
        "mmap64",
        "__mmap",
        "mremap",
        "__expand_heap",
        "__malloc_donate",
        "__rust_alloc",
        "__rdl_alloc",
    ];
    let parts = [
        "core3fmt",
        "4core3fmt",
        "5alloc",
        "libc_malloc",
        "_Unwind_",
        "printf",
        "pthread_create",
    ];
    exact.contains(&symbol) || parts.iter().any(|part| symbol.contains(part))
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|window| window == word.as_bytes())
}

pub fn main(args: &[String]) -> ExitCode {
    let [path, inspect, size] = args else {
        return ExitCode::from(2);
    };
    let (Ok(bytes), Ok(symbols), Ok(limit)) =
        (fs::read(path), fs::read(inspect), fs::read_to_string(size))
    else {
        eprintln!("binary: {path}, {inspect} or {size} cannot be read");
        return ExitCode::from(2);
    };
    let mut bad = structure(&Elf(&bytes));
    let names = Elf(&symbols).symbols();
    if names.len() < 20 {
        bad.push(format!("{inspect} has no symbol table"));
    }
    let mut found: Vec<&String> = names.iter().filter(|name| forbidden(name)).collect();
    found.sort();
    found.dedup();
    for name in found {
        bad.push(format!("links {name}"));
    }
    for word in [
        "/home/",
        "/root/",
        ".cargo",
        "registry/src",
        "/work/",
        "/rustc/",
    ] {
        if holds(&bytes, word) {
            bad.push(format!("holds the path {word}"));
        }
    }
    let limit: usize = limit.trim().parse().unwrap_or(0);
    if bytes.len() > limit {
        bad.push(format!("{} bytes, {size} allows {limit}", bytes.len()));
    }
    for line in &bad {
        println!("binary: {line}");
    }
    println!(
        "binary: {} bytes of {limit}, {} broken rules",
        bytes.len(),
        bad.len()
    );
    ExitCode::from(u8::from(!bad.is_empty()))
}
