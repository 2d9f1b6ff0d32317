//! The rescuer: takes over the runs of nodes whose lease is lost. Every worker node rescues, and none is
//! elected for it: each lease is lost once, on however many nodes the statement runs.
//!
//! A rescuer that has seen an outage of the database judges nobody by missing sessions for a moment after it,
//! since all sessions ended then.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::lease::SUSPECT_AFTER;
use super::messages::RunClaimerMessage;
use super::paths::RESCUER;
use super::shared::WorkflowShared;
use super::signals;
use crate::db::session_name::session_suffix;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::time::{millis, secs};
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two looks at what the claimer's polls have seen.
const INTERVAL: Duration = millis(400);
const JITTER: Duration = millis(200);
/// Between two rescues while the polls see nothing.
const UNSEEN_INTERVAL: Duration = secs(30);
/// For so long after an outage nodes may not have connected again.
const RECONNECT: Duration = secs(4);
/// Runs that one statement releases.
const RELEASE_MAX: i64 = 1_000;

pub(super) struct RunRescuer {
    shared: Arc<WorkflowShared>,
    last: Option<Instant>,
    /// Until then a missing session is not taken for a process that is gone.
    not_by_sessions_before: Instant,
}

impl RunRescuer {
    pub(super) fn spec(shared: Arc<WorkflowShared>) -> ChildSpec {
        let backoff = Backoff::exponential(secs(1), secs(1));
        let schedule = Schedule { jitter: JITTER, backoff, ..Schedule::every(INTERVAL) };
        let make =
            move || Self { shared: Arc::clone(&shared), last: None, not_by_sessions_before: Instant::now() };
        ChildSpec::periodic(RESCUER.id(), schedule, make).0
    }
}

impl Duty for RunRescuer {
    type Term = ();
    const KIND: &'static str = "run_rescuer";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        let now = Instant::now();
        if !self.shared.database.state().borrow().is_up() {
            self.not_by_sessions_before = now + RECONNECT;
            return Ok(RunReport::NOTHING);
        }
        let is_seen = self.shared.has_suspect.swap(false, Ordering::AcqRel);
        if !is_seen && self.last.is_some_and(|last| now < last + UNSEEN_INTERVAL) {
            return Ok(RunReport::NOTHING);
        }
        self.last = Some(now);
        let by_sessions = now >= self.not_by_sessions_before;
        // A rescue that fails may have met an outage that the monitor has not seen yet.
        let before = self.not_by_sessions_before;
        self.not_by_sessions_before = now + RECONNECT;
        let store = &self.shared.store;
        let suffix = session_suffix(self.shared.node);
        let lost = store.lose_owners(SUSPECT_AFTER, by_sessions, &suffix).await?;
        let mut released = 0;
        loop {
            let part = store.release(RELEASE_MAX).await?;
            signals::released(&part);
            released += part.len();
            if part.len() < usize::try_from(RELEASE_MAX).unwrap_or(usize::MAX) {
                break;
            }
        }
        self.not_by_sessions_before = before;
        if !lost.is_empty() {
            tracing::warn!(nodes = lost.join(", "), runs = released, "leases for workflows taken over");
        }
        // Also those that a rescuer has left which ended before this: they are seen by each poll.
        store.forget_owners().await?;
        if released > 0 {
            self.shared.claimer.notify(RunClaimerMessage::RunReady);
        }
        Ok(RunReport::handled(released as u64))
    }
}
