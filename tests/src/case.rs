//! A case, its outcome, and the words with which a case ends early.

use crate::harness::T;

/// One row of a table of cases.
pub struct Case {
    pub name: &'static str,
    pub run: fn(&T),
    /// Deadline in seconds.
    pub seconds: u64,
    /// No other case runs at the same time.
    pub serial: bool,
}

/// Makes a [`Case`]: `case!(function)`, `case!(function, 60)` with a deadline, `case!(function, 60, serial)`.
macro_rules! case {
    ($run:ident) => {
        case!($run, 30)
    };
    ($run:ident, $seconds:literal) => {
        $crate::case::Case {
            name: stringify!($run),
            run: $run,
            seconds: $seconds,
            serial: false,
        }
    };
    ($run:ident, $seconds:literal, serial) => {
        $crate::case::Case {
            name: stringify!($run),
            run: $run,
            seconds: $seconds,
            serial: true,
        }
    };
}
pub(crate) use case;

/// Payload of the panic that ends a case as skipped.
pub struct Skip {
    pub reason: String,
    /// The environment cannot have the feature: no failure even under OCILET_MUST_WORK.
    pub excused: bool,
}

/// Ends the case: something that could be there is missing.
pub fn skip(reason: impl Into<String>) -> ! {
    std::panic::panic_any(Skip {
        reason: reason.into(),
        excused: false,
    })
}

/// Ends the case: this environment (kernel, cgroup mode, guest) cannot have the feature.
pub fn cannot(reason: impl Into<String>) -> ! {
    std::panic::panic_any(Skip {
        reason: reason.into(),
        excused: true,
    })
}

/// How a case ended.
pub enum Outcome {
    Pass,
    Fail(String),
    Skip(Skip),
}
