//! `completion`: what a shell must know to complete command lines, and the manual page; both from the table of flags.
#![forbid(unsafe_code)]

use super::flags::{Row, place, section, sections};
use super::{Call, FAILED};
use crate::error::{Context, Fault, Step};
use crate::say::Line;

/// `completion SHELL`.
pub(super) fn completion(call: &mut Call) -> Result<i32, Fault> {
    let Some(shell) = place("bash zsh fish man", call.id.to_bytes()) else {
        let known = "bash, zsh, fish or man";
        call.parsed.bad_value(call.id, "completion", known);
        return Ok(FAILED);
    };
    let mut buffer = [0; 1024];
    let mut line = Line::stdout(&mut buffer);
    match shell {
        0 => bash(&mut line),
        1 => {
            line.text("#compdef ocilet\nautoload -U +X bashcompinit && bashcompinit\n");
            bash(&mut line);
        }
        2 => fish(&mut line),
        _ => manual(&mut line),
    }
    line.finish().step(Step::Print)?;
    Ok(0)
}

fn verbs() -> impl Iterator<Item = Row> {
    sections().filter(|verb| !verb.name.is_empty())
}

/// A function that knows the words of each verb; zsh has a way to use it, too.
fn bash(line: &mut Line<'_>) {
    line.text(
        "_ocilet() {\n    local word verb= words\n    \
         for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        case $word in\n        ",
    );
    let mut first = true;
    for verb in verbs() {
        line.text(if first { "" } else { "|" });
        first = false;
        line.foreign(verb.name);
    }
    line.text(") verb=$word; break ;;\n        esac\n    done\n    case $verb in\n");
    for verb in sections() {
        line.fill("    \"%\") words=\"", &[verb.name]);
        for flag in verb.flags().filter(Row::is_shown) {
            line.fill("--% ", &[flag.name]);
        }
        if verb.name.is_empty() {
            verbs().for_each(|verb| line.fill("% ", &[verb.name]));
        } else if verb.second.starts_with(b"<container-id>") {
            line.text("$(ocilet list --quiet 2>/dev/null)");
        }
        line.text("\" ;;\n");
    }
    line.text(
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n\
         complete -o default -F _ocilet ocilet\n",
    );
}

/// A line for each verb and each flag.
fn fish(line: &mut Line<'_>) {
    for verb in sections() {
        let inside = [verb.name];
        if !verb.name.is_empty() {
            line.fill(
                "complete -c ocilet -n __fish_use_subcommand -f -a %",
                &inside,
            );
            described(line, verb.summary());
        }
        for flag in verb.flags().filter(Row::is_shown) {
            if verb.name.is_empty() {
                line.text("complete -c ocilet -n __fish_use_subcommand");
            } else {
                line.fill(
                    "complete -c ocilet -n '__fish_seen_subcommand_from %'",
                    &inside,
                );
            }
            line.fill(" -l %", &[flag.name]);
            if !flag.second.is_empty() {
                line.fill(" -s %", &[flag.second]);
            }
            line.text(if flag.third.is_empty() { "" } else { " -r" });
            described(line, flag.summary());
        }
        if verb.second.starts_with(b"<container-id>") {
            line.fill(
                "complete -c ocilet -n '__fish_seen_subcommand_from %' -f -a '(ocilet list --quiet 2>/dev/null)'\n",
                &inside,
            );
        }
    }
}

/// The end of a line of fish.
fn described(line: &mut Line<'_>, summary: &str) {
    line.text(" -d \"");
    for character in summary.chars() {
        if matches!(character, '$' | '"' | '\\') {
            line.text("\\");
        }
        line.character(character);
    }
    line.text("\"\n");
}

/// The manual page, man 7 man.
fn manual(line: &mut Line<'_>) {
    line.text(concat!(
        ".TH OCILET 8 \"\" \"ocilet ",
        env!("CARGO_PKG_VERSION"),
        "\"\n.SH NAME\nocilet \\- "
    ));
    if let Some(top) = section(b"") {
        line.text(top.summary());
    }
    line.text(
        "\n.SH SYNOPSIS\n.B ocilet\n[\\fIglobal options\\fR] \\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n",
    );
    for verb in sections() {
        if verb.name.is_empty() {
            line.text(".SH GLOBAL OPTIONS\n");
        } else {
            line.fill(
                ".SH OCILET %\n.B ocilet %\n[\\fIoptions\\fR] %\n.PP\n",
                &[verb.name, verb.name, verb.second],
            );
            line.text(verb.summary());
            line.text("\n");
        }
        for flag in verb.flags().filter(Row::is_shown) {
            line.fill(".TP\n\\fB\\-\\-%\\fR", &[flag.name]);
            if !flag.second.is_empty() {
                line.fill(", \\fB\\-%\\fR", &[flag.second]);
            }
            if !flag.third.is_empty() {
                line.fill(" \\fI%\\fR", &[flag.third]);
            }
            line.text("\n");
            line.text(flag.summary());
            line.text("\n");
        }
    }
}
