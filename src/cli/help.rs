//! Help, from the table of flags; and the version.
#![forbid(unsafe_code)]

use super::flags::{Misuse, Row, sections};
use crate::error::{Context, Fault, Step};
use crate::limits::FULL;
use crate::say::Line;

/// Where the summaries of flags begin, at least.
const COLUMN: usize = 28;

/// A section of the table as help: of one verb, or of all of them for the options before the verb.
fn help(line: &mut Line<'_>, section: &Row) {
    line.text("NAME:\n   ocilet ");
    if !section.name.is_empty() {
        line.foreign(section.name);
        line.text(" ");
    }
    line.text("- ");
    line.text(section.summary());
    line.text("\n\nUSAGE:\n   ocilet ");
    if section.name.is_empty() {
        line.text("[global options] command [options] [arguments]\n\nCOMMANDS:\n");
        for verb in sections().filter(|verb| !verb.name.is_empty()) {
            line.fill("   %", &[verb.name]);
            spaces(line, 12_usize.saturating_sub(verb.name.len()));
            line.text(verb.summary());
            line.text("\n");
        }
        line.text("\nGLOBAL OPTIONS:\n");
    } else {
        line.fill(
            "% [options] %\n\nOPTIONS:\n",
            &[section.name, section.second],
        );
    }
    for flag in section.flags().filter(Row::is_shown) {
        line.fill("   --%", &[flag.name]);
        let mut width = flag.name.len().saturating_add(5);
        for (before, word) in [(", -%", flag.second), (" %", flag.third)] {
            if !word.is_empty() {
                line.fill(before, &[word]);
                width = width
                    .saturating_add(before.len() - 1)
                    .saturating_add(word.len());
            }
        }
        spaces(line, COLUMN.saturating_sub(width).max(2));
        line.text(flag.summary());
        line.text("\n");
    }
}

/// Padding of tables.
pub(super) fn spaces(line: &mut Line<'_>, count: usize) {
    for _ in 0..count {
        line.text(" ");
    }
}

/// Help on standard output, after the first words of an error if there is one.
pub(super) fn print(wrong: Option<&Misuse>, section: &Row) -> Result<(), Fault> {
    let mut buffer = [0; 1024];
    let mut line = Line::stdout(&mut buffer);
    if !FULL {
        // The record of the error is all that is said then.
        if wrong.is_none() {
            line.text("this build has no help\n");
        }
        return line.finish().step(Step::Print);
    }
    if let Some(Misuse(text, words)) = wrong {
        line.text("Incorrect Usage: ");
        line.fill(text, words);
        line.text("\n\n");
    }
    help(&mut line, section);
    line.finish().step(Step::Print)
}

/// The version, in the form that go-runc and docker take apart; go-runc insists on the first word `runc`, which a link
/// of that name gives.
pub(super) fn version(program: &[u8]) -> Result<(), Fault> {
    let mut buffer = [0; 256];
    let mut line = Line::stdout(&mut buffer);
    let name = program
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    line.text(if name == b"runc" {
        concat!("runc version 1.3.0+ocilet-", env!("CARGO_PKG_VERSION"))
    } else {
        concat!("ocilet version ", env!("CARGO_PKG_VERSION"))
    });
    line.text(concat!(
        "\ncommit: ",
        env!("OCILET_COMMIT"),
        "\nspec: 1.3.0\n"
    ));
    line.finish().step(Step::Print)
}
