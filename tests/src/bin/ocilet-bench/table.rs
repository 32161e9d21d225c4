//! The tables, in Markdown: ocilet divided by each of the others.

use super::{COLUMNS, COMMANDS, Cost, Measured};

type Pair = (u64, u64);
type Pick<From, To> = fn(From) -> To;
type Look = fn(&Measured) -> Option<f64>;

/// The middle of a list; `None` of an empty one.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn of(costs: &[Cost], pick: Pick<Cost, f64>) -> Option<f64> {
    median(costs.iter().copied().map(pick).collect())
}

/// One row: what it is, its unit, and a value per runtime.
struct Row {
    name: String,
    unit: &'static str,
    values: Vec<Option<f64>>,
}

fn rows(all: &[Measured]) -> Vec<Row> {
    let mut rows = Vec::new();
    let picks: [(&str, Pick<Cost, f64>); 2] = [
        ("wall time", |cost| cost.wall * 1e3),
        ("CPU time", |cost| cost.cpu * 1e3),
    ];
    for (what, pick) in picks {
        for (at, column) in COLUMNS.iter().enumerate() {
            rows.push(Row {
                name: format!("{column}: {what}"),
                unit: "ms",
                values: all.iter().map(|one| of(&one.costs[at], pick)).collect(),
            });
        }
    }
    for (at, column) in COLUMNS.iter().take(COMMANDS).enumerate() {
        rows.push(Row {
            name: format!("{column}: peak RSS"),
            unit: "KiB",
            values: all
                .iter()
                .map(|one| one.peak[at].map(|value| value as f64))
                .collect(),
        });
    }
    for (at, column) in COLUMNS.iter().take(COMMANDS).enumerate() {
        rows.push(Row {
            name: format!("{column}: system calls"),
            unit: "",
            values: all
                .iter()
                .map(|one| one.calls[at].map(|value| value as f64))
                .collect(),
        });
    }
    let waiting: [(&str, Pick<Pair, u64>); 2] =
        [("private dirty", |pair| pair.0), ("PSS", |pair| pair.1)];
    for (what, pick) in waiting {
        rows.push(Row {
            name: format!("waiting init: {what}"),
            unit: "KiB",
            values: all
                .iter()
                .map(|one| one.waiting.map(|pair| pick(pair) as f64))
                .collect(),
        });
    }
    let seccomp: [(&str, &'static str, Look); 5] = [
        ("instructions of Moby's seccomp profile", "", |one| {
            one.filters[1].instructions.map(|count| count as f64)
        }),
        ("getpid without a filter", "ns", |one| {
            Some(one.filters[0].calls?[0])
        }),
        ("getpid with it", "ns", |one| Some(one.filters[1].calls?[0])),
        ("personality without a filter", "ns", |one| {
            Some(one.filters[0].calls?[1])
        }),
        ("personality with it", "ns", |one| {
            Some(one.filters[1].calls?[1])
        }),
    ];
    for (what, unit, look) in seccomp {
        rows.push(Row {
            name: what.to_owned(),
            unit,
            values: all.iter().map(look).collect(),
        });
    }
    rows
}

/// Prints the ratio table, and with `numbers` the values behind it.
pub fn print(all: &[Measured], rounds: usize, numbers: bool) {
    let names: Vec<&str> = all.iter().map(|one| one.runtime.name).collect();
    let rows = rows(all);
    println!("ocilet / other, medians of {rounds} interleaved rounds\n");
    println!("| | {} |", names.get(1..).unwrap_or_default().join(" | "));
    println!("|---|{}", "---|".repeat(names.len().saturating_sub(1)));
    for row in &rows {
        let Some((Some(ours), others)) = row.values.split_first() else {
            continue;
        };
        let cells: Vec<String> = others
            .iter()
            .map(|other| other.map_or("-".into(), |other| format!("{:.2}", ours / other)))
            .collect();
        println!("| {} | {} |", row.name, cells.join(" | "));
    }
    println!("\n| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for row in rows.iter().filter(|row| numbers || row.unit != "ms") {
        let digits = if row.unit == "ms" { 2 } else { 0 };
        let cells: Vec<String> = row
            .values
            .iter()
            .map(|value| value.map_or("-".into(), |value| format!("{value:.digits$}")))
            .collect();
        println!("| {} {} | {} |", row.name, row.unit, cells.join(" | "));
    }
}
