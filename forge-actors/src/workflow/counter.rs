//! Counts the runs that have not ended, for the metrics of the node that leads `workflows`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::paths::COUNTER;
use super::shared::WorkflowShared;
use super::signals;
use crate::kernel::fault::Fault;
use crate::kernel::time::secs;
use crate::leader::Term;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two counts.
const INTERVAL: Duration = secs(15);
/// Between two looks whether this node leads.
const LOOK_EVERY: Duration = secs(1);
/// Runs that are counted at most: the newest ones, and of each status that a person has to look at.
const COUNTED_MAX: i64 = 100_000;
/// The statuses of runs that have not ended.
const STATUSES: [&str; 6] = ["ready", "running", "waiting", "paused", "diverged", "compensation_failed"];

pub(super) struct RunCounter {
    shared: Arc<WorkflowShared>,
    terms: watch::Receiver<Option<Term>>,
    /// The gauges of this node are not 0.
    is_counting: bool,
}

impl RunCounter {
    pub(super) fn spec(shared: Arc<WorkflowShared>, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
        let schedule = Schedule { first_within: Duration::ZERO, ..Schedule::every(INTERVAL) };
        let make = move || Self { shared: Arc::clone(&shared), terms: terms.clone(), is_counting: false };
        ChildSpec::periodic(COUNTER.id(), schedule, make).0
    }
}

impl Duty for RunCounter {
    type Term = ();
    const KIND: &'static str = "run_counter";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        let is_leader = self.terms.borrow().is_some();
        if !is_leader && !self.is_counting {
            return Ok(RunReport::more(0, LOOK_EVERY));
        }
        let counts = match is_leader {
            true => self.shared.store.count_unfinished(COUNTED_MAX).await?,
            // Another node counts now.
            false => Vec::new(),
        };
        self.is_counting = is_leader;
        for status in STATUSES {
            let count = counts.iter().find(|(counted, _)| counted == status);
            signals::unfinished(status, count.map_or(0, |(_, runs)| *runs));
        }
        Ok(RunReport::NOTHING)
    }
}
