//! Whether the threads of handlers are stalled: all of them blocked, so that no call gets one.
//!
//! ```text
//!   Running ──no progress for CHECKS_MISSED_MAX checks──▶ Stalled
//!      ▲                                                    │
//!      └────────────────────── progress ────────────────────┘
//! ```
//! A thread shows progress when a poll of a handler returns, or when it runs a probe (an empty task). Threads
//! that are blocked by something else than a handler's own poll (a task that a handler spawned, a destructor)
//! are therefore found too. Checks are counted, and not seconds: a process that was stopped for a while
//! misses no check.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::inflight::InFlightCall;
use super::threads::HandlerThreads;
use crate::kernel::invocation::is_system;
use crate::kernel::time::Timestamp;

/// Checks in a row without progress, after which the threads count as stalled.
const CHECKS_MISSED_MAX: u32 = 3;
/// Handlers that a text names; more are counted.
const NAMED_MAX: usize = 5;

/// All threads of handlers are blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThreadStall {
    /// When a thread last showed progress, by this node's clock.
    pub(super) since: Timestamp,
    /// The number of threads.
    pub(super) threads: usize,
    /// What blocked them when the stall was found: handlers, as [`name_blockers`] writes them, or other
    /// tasks.
    pub(super) blockers: String,
}

impl ThreadStall {
    /// A stall that was found while `calls` ran.
    pub(super) fn new(since: Timestamp, threads: usize, calls: &[InFlightCall]) -> Self {
        let blockers = name_blockers(calls).unwrap_or_else(|| "tasks that handlers have spawned".to_owned());
        Self { since, threads, blockers }
    }

    /// The reason of the readiness check. Everybody reads it, so it names no handlers.
    pub(super) fn reason(&self) -> String {
        let threads = self.threads;
        format!("all {threads} threads of handlers are blocked; the log says by what")
    }

    /// The cause of a refused call, for the log and for answers in development.
    pub(super) fn cause(&self) -> String {
        let (threads, blockers) = (self.threads, &self.blockers);
        let since = self.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        format!(
            "no thread has been free to run handlers since {since}: at first all {threads} were blocked by \
             {blockers}"
        )
    }
}

/// Watches the progress of the threads.
#[derive(Debug, Default)]
pub(super) struct StallWatch {
    probe: Option<JoinHandle<()>>,
    missed: MissedChecks,
}

/// The checks without progress, in a row.
#[derive(Debug, Default)]
pub(super) struct MissedChecks(u32);

impl StallWatch {
    /// Called at each check, `every` so often. For how long the threads have shown no progress; `None` while
    /// they are not stalled.
    pub(super) fn check(&mut self, threads: &HandlerThreads, every: Duration) -> Option<Duration> {
        let without_progress = threads.since_progress();
        let ran = self.probe.as_ref().is_none_or(JoinHandle::is_finished);
        if ran {
            self.probe = Some(threads.probe());
        }
        self.missed.record(ran || without_progress < every).then_some(without_progress)
    }
}

impl MissedChecks {
    /// Counts one check. True once [`CHECKS_MISSED_MAX`] in a row found no progress.
    pub(super) fn record(&mut self, progress: bool) -> bool {
        self.0 = if progress { 0 } else { self.0 + 1 };
        self.0 >= CHECKS_MISSED_MAX
    }
}

/// The application's handlers that block their threads, with the number of threads of each; `None` when no
/// handler has blocked one for longer than a second.
pub(super) fn name_blockers(calls: &[InFlightCall]) -> Option<String> {
    let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.blocked.is_some() && !is_system(&call.name)) {
        *threads.entry(&*call.name).or_default() += 1;
    }
    let named: Vec<String> =
        threads.iter().take(NAMED_MAX).map(|(name, threads)| format!("{name} ({threads})")).collect();
    match threads.len().saturating_sub(NAMED_MAX) {
        0 => (!named.is_empty()).then(|| named.join(", ")),
        more => Some(format!("{} and {more} more", named.join(", "))),
    }
}
