//! Whether the threads of handlers are stalled: all of them blocked, so that no call gets one.
//!
//! ```text
//!   Running ──no thread came to an end of anything for CHECKS_MISSED_MAX checks──▶ Stalled
//!      ▲                                                                             │
//!      └───────────────────────── a thread came to an end of something ─────────────┘
//! ```
//! A thread shows progress by the end of a poll of a handler, or by running a beat, which is a task that does
//! nothing. So threads that are blocked by something else than a handler's own poll (a task that a handler
//! spawned, a destructor) are found too. Checks are counted, and not seconds: a process that was stopped for
//! a while misses no check.

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
    /// The handlers that block them, as [`name_blockers`] writes them.
    pub(super) blockers: String,
}

impl ThreadStall {
    /// The reason of the readiness check.
    pub(super) fn reason(&self) -> String {
        let (threads, blockers) = (self.threads, &self.blockers);
        let since = self.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        format!("no thread is free to run handlers since {since}: all {threads} are blocked by {blockers}")
    }
}

/// Watches the progress of the threads.
#[derive(Debug, Default)]
pub(super) struct StallWatch {
    beat: Option<JoinHandle<()>>,
    missed: MissedChecks,
}

/// The checks without progress, in a row.
#[derive(Debug, Default)]
pub(super) struct MissedChecks(u32);

impl StallWatch {
    /// Called at each check, `every` so often. For how long the threads have shown no progress; `None` while
    /// they are not stalled.
    pub(super) fn check(&mut self, threads: &HandlerThreads, every: Duration) -> Option<Duration> {
        let idle = threads.idle_for();
        let beaten = self.beat.as_ref().is_none_or(JoinHandle::is_finished);
        if beaten {
            self.beat = Some(threads.beat());
        }
        self.missed.is_stalled(beaten || idle < every).then_some(idle)
    }
}

impl MissedChecks {
    /// Counts a check, before which there was `progress` or none.
    pub(super) fn is_stalled(&mut self, progress: bool) -> bool {
        self.0 = if progress { 0 } else { self.0 + 1 };
        self.0 >= CHECKS_MISSED_MAX
    }
}

/// The application's handlers that block their threads, with the number of threads of each.
pub(super) fn name_blockers(calls: &[InFlightCall]) -> String {
    let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.blocked.is_some() && !is_system(&call.name)) {
        *threads.entry(&*call.name).or_default() += 1;
    }
    let named: Vec<String> =
        threads.iter().take(NAMED_MAX).map(|(name, threads)| format!("{name} ({threads})")).collect();
    match threads.len().saturating_sub(NAMED_MAX) {
        0 if named.is_empty() => "what handlers have spawned".to_owned(),
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
