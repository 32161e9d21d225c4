//! The cases, grouped by what they are about. A new case is a function and one line in the table of its file.

mod cli;
mod lifecycle;
mod process;

use crate::case::Case;

/// A group is a file.
const GROUPS: &[(&str, &[Case])] = &[
    ("lifecycle", lifecycle::CASES),
    ("cli", cli::CASES),
    ("process", process::CASES),
];

/// Every case with its full name `group/case`.
pub fn all() -> impl Iterator<Item = (String, &'static Case)> {
    GROUPS.iter().flat_map(|&(group, cases)| {
        cases
            .iter()
            .map(move |case| (format!("{group}/{}", case.name), case))
    })
}
