//! `features`: what this runtime can do, in the document of the specification. It is about the program, not the host;
//! only the seccomp flags are asked of the kernel.
//!
//! `features.txt` is the document in lines; what can be done or not is said there. `@` and a letter
//! stand for a list, whose words are those that config.json is read with.
#![forbid(unsafe_code)]

use super::Call;
use super::layout::Layout;
use crate::config::Names;
use crate::error::{Context, Fault, Step, packed};
use crate::plan::options;
use crate::say::Line;
use crate::{seccomp, sys};

/// `features`.
pub(super) fn features(_: &Call) -> Result<i32, Fault> {
    let mut buffer = [0; 1024];
    let mut line = Line::stdout(&mut buffer);
    document(&mut line);
    line.finish().step(Step::Print)?;
    Ok(0)
}

fn document(line: &mut Line<'_>) {
    let mut layout = Layout::new(line, "    ");
    for number in 0.. {
        let piece = packed::line(packed::Features, number);
        if piece.is_empty() {
            break;
        }
        let mut piece = piece.chars();
        while let Some(character) = piece.next() {
            if character == '@' {
                place(&mut layout, piece.next().unwrap_or_default());
            } else {
                layout.put(character);
            }
        }
    }
    line.text("\n");
}

/// What an `@` stands for.
fn place(layout: &mut Layout<'_, '_>, letter: char) {
    let names = match letter {
        'm' => return list(layout, "", options::names()),
        'v' => return layout.line.text(env!("CARGO_PKG_VERSION")),
        'h' => return layout.line.text(env!("OCILET_COMMIT")),
        'r' => {
            return list(
                layout,
                Names::Arch.prefix(),
                seccomp::MACHINE.architectures(),
            );
        }
        's' => return list(layout, Names::SeccompFlag.prefix(), kernel_flags()),
        'n' => Names::Namespace,
        'a' => Names::SeccompAction,
        'o' => Names::SeccompOp,
        'f' => Names::SeccompFlag,
        'c' => Names::Capability,
        'M' => Names::MemPolicy,
        _ => Names::MemPolicyFlag,
    };
    list(layout, names.prefix(), names.words());
}

/// The flags of seccomp(2) that the kernel knows.
fn kernel_flags() -> impl Iterator<Item = &'static str> {
    let flags = (0..).zip(Names::SeccompFlag.words());
    flags
        .filter(|(bit, word)| *word != "-" && sys::seccomp::knows(1_u32 << bit))
        .map(|(_, word)| word)
}

/// The inside of a list of strings.
fn list(layout: &mut Layout<'_, '_>, prefix: &str, words: impl Iterator<Item = &'static str>) {
    let mut first = true;
    for word in words {
        if word == "-" {
            continue;
        }
        if !first {
            layout.put(',');
        }
        first = false;
        layout.put('"');
        layout.line.text(prefix);
        layout.line.text(word);
        layout.put('"');
    }
}

#[cfg(test)]
mod tests {
    use super::document;
    use crate::say::Line;

    #[test]
    fn lists_are_those_of_the_tables() {
        let mut buffer = [0; 16384];
        let mut line = Line::new(&mut buffer);
        document(&mut line);
        let text = String::from_utf8(line.into_bytes().to_vec()).unwrap();
        assert!(text.starts_with("{\n    \"ociVersionMin\": \"1.0.0\",\n"));
        for part in [
            "\"mountOptions\": [\n        \"async\",\n        \"atime\",\n",
            "        \"rro\",\n",
            "            \"CAP_CHOWN\",\n",
            "            \"CAP_CHECKPOINT_RESTORE\"\n        ],\n",
            "                \"MPOL_F_STATIC_NODES\"\n            ]\n",
            "\"run.ocilet.\"\n    ]\n}\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains('@') && !text.contains("\"-\""));
    }
}
