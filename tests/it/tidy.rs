//! The house style as tests: sizes, import directions, words that must not occur, heads that must.
//!
//! Each rule is a table and a check that answers findings (`file:line: what: why`); a rule fails with all of
//! its findings at once. An exception stands in its rule's table with a reason, and fails when it is no
//! longer needed.

mod book;
mod circles;
mod claims;
mod imports;
mod metrics;
mod names;
mod sizes;
mod source;
mod tables;
mod waits;
mod words;

use std::fmt;

/// One place that breaks a rule.
pub(crate) struct Finding {
    file: String,
    line: usize,
    what: String,
    why: &'static str,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>, why: &'static str) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), why }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.what, self.why)
    }
}

#[track_caller]
fn none(findings: Vec<Finding>) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "\n{}\n{} findings", lines.join("\n"), lines.len());
}

/// Marks the exceptions that a check made use of, and reports those that it did not need.
struct Exceptions {
    entries: &'static [(&'static str, &'static str)],
    used: Vec<bool>,
}

impl Exceptions {
    /// `entries` are pairs of a place and its reason.
    fn new(entries: &'static [(&'static str, &'static str)]) -> Self {
        Self { entries, used: vec![false; entries.len()] }
    }

    fn covers(&mut self, place: &str) -> bool {
        let Some(index) = self.entries.iter().position(|(listed, _)| *listed == place) else { return false };
        self.used[index] = true;
        true
    }

    fn unneeded(self) -> Vec<Finding> {
        let unused = self.entries.iter().zip(self.used).filter(|(_, used)| !used);
        unused
            .map(|((place, _), _)| {
                Finding::new(place, 0, "exception", "is no longer needed: delete it from the table")
            })
            .collect()
    }
}
