//! What is written about the progress of one job.

use std::collections::VecDeque;
use std::time::Instant;

use super::JobRecord;
use crate::app::log::JobLogLevel;

/// What is to be written about one job.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::job) struct JobReport {
    /// The claim of the attempt that has reported last.
    pub(in crate::job) claim: i32,
    pub(in crate::job) attempt: i32,
    pub(in crate::job) attempts_max: i32,
    pub(in crate::job) progress: Option<f64>,
    pub(in crate::job) message: Option<String>,
    pub(in crate::job) lines: VecDeque<LogLine>,
    /// The attempt has begun or said something: there is more to write than an end.
    pub(in crate::job) is_running: bool,
    /// The tables of jobs say what became of the job, which is to be copied.
    pub(in crate::job) has_ended: bool,
    /// The job is finished, and others wait for it.
    pub(in crate::job) is_awaited: bool,
    /// The job has begun or ended, which is not left to gather.
    pub(in crate::job) is_urgent: bool,
}

/// A line that a job has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::job) struct LogLine {
    pub(in crate::job) claim: i32,
    /// Counts the lines of an attempt.
    pub(in crate::job) number: i32,
    pub(in crate::job) at: Instant,
    pub(in crate::job) level: JobLogLevel,
    pub(in crate::job) text: String,
}

impl JobReport {
    /// The part of the report that lets jobs which wait for this one know its end.
    pub(in crate::job) fn of_end(&self) -> Self {
        Self {
            progress: None,
            message: None,
            lines: VecDeque::new(),
            is_running: false,
            has_ended: false,
            ..*self
        }
    }

    pub(in crate::job) fn of(record: &JobRecord) -> Self {
        Self {
            claim: record.claim,
            attempt: record.attempts_begun.cast_signed(),
            attempts_max: record.attempts_max.cast_signed(),
            progress: None,
            message: None,
            lines: VecDeque::new(),
            is_running: false,
            has_ended: false,
            is_awaited: false,
            is_urgent: false,
        }
    }

    /// The report of a newer attempt takes the place of that of an older one, but for its lines.
    pub(in crate::job) fn advance(&mut self, record: &JobRecord) {
        if record.claim > self.claim {
            let lines = std::mem::take(&mut self.lines);
            let (has_ended, is_awaited, is_urgent) = (self.has_ended, self.is_awaited, self.is_urgent);
            *self = Self { lines, has_ended, is_awaited, is_urgent, ..Self::of(record) };
        }
    }
}
