//! The rescuer: ends the leases that have run out, whichever node held them. A job with attempts left waits
//! in its queue again; one without becomes a dead letter.
//!
//! Every worker node rescues, and none is elected for it. The statement ends each lease once, on however many
//! nodes it runs, so there is nothing to fence. An election would only delay the rescue, since the node that
//! is lost may be the leader.
//!
//! The claimer's promotions see whether a lease has run out, at each poll, so that an idle node
//! sends no statement for it. A rescuer also looks by itself, less often.
//!
//! Jobs that end by a rescue wake the jobs that wait for them: the rescuer records their ends after its own
//! transaction, as the node does that ends a job. What it cannot record, the settler does.
//!
//! A rescuer that has seen an outage of the database rescues nothing for the duration of a lease after it,
//! because no node could renew its leases meanwhile. The rescuer of a node that did not see the outage does
//! not wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::dependencies;
use super::paths::RESCUER;
use super::shared::JobShared;
use super::signals;
use crate::change::Hint;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, secs};
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two rescues, once a second on average. The jitter keeps nodes from rescuing at the same moment.
const INTERVAL: Duration = millis(800);
const JITTER: Duration = millis(400);
/// Between two rescues while the promotions of this node's claimer see no lease that has run out.
const UNSEEN_INTERVAL: Duration = secs(30);
/// After a failure. A failed rescue also sets `not_before` one lease ahead.
const RETRY: Backoff = Backoff::exponential(secs(1), secs(1));

pub(super) struct Rescuer {
    shared: Arc<JobShared>,
    /// Until then the holders of leases that have run out may not have been able to renew them.
    not_before: Instant,
    /// When it rescued last.
    last: Option<Instant>,
    /// Jobs that cannot be rescued and that the log has named already.
    reported: BTreeSet<JobId>,
}

impl Rescuer {
    pub(super) fn spec(shared: Arc<JobShared>) -> ChildSpec {
        let schedule = Schedule { jitter: JITTER, backoff: RETRY, ..Schedule::every(INTERVAL) };
        let make = move || Self {
            shared: Arc::clone(&shared),
            not_before: Instant::now(),
            last: None,
            reported: BTreeSet::new(),
        };
        ChildSpec::periodic(RESCUER.id(), schedule, make).0
    }

    /// Names the jobs in the log whose row the database refuses to change. They hold up no other one.
    fn report(&mut self, refused: BTreeMap<JobId, String>) {
        for (job, error) in refused.iter().filter(|(job, _)| !self.reported.contains(job)) {
            tracing::error!(%job, error, "expired job not rescued: the database refuses its row");
        }
        self.reported = refused.into_keys().collect();
    }

    /// Records ends for the jobs that wait for them. A failure fails no rescue: the settler finds the ends.
    async fn record_ends(&self, ended: &[JobId]) {
        if let Err(fault) = dependencies::record_ends(&self.shared, ended).await {
            let error = error_chain(&fault);
            tracing::warn!(error, "recording the ends of rescued jobs failed; the settler retries");
        }
    }
}

impl Duty for Rescuer {
    type Term = ();
    const KIND: &'static str = "rescuer";

    async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
        let (now, lease) = (Instant::now(), self.shared.config.lease);
        if !self.shared.database.state().borrow().is_up() {
            self.not_before = now + lease;
        }
        if now < self.not_before {
            return Ok(RunReport::NOTHING);
        }
        let is_seen = self.shared.has_expired.swap(false, Ordering::AcqRel);
        if !is_seen && self.last.is_some_and(|last| now < last + UNSEEN_INTERVAL) {
            return Ok(RunReport::NOTHING);
        }
        self.last = Some(now);
        // A rescue that is cut or fails may have met an outage that the monitor has not seen yet.
        self.not_before = now + lease;
        let rescued = self.shared.store.rescue().await?;
        self.not_before = now;
        let count = rescued.count() as u64;
        if is_seen || count > 0 {
            // The node that was lost may have left more undone than its leases show.
            self.shared.has_lost_node.store(true, Ordering::Release);
        }
        if count > 0 {
            metrics::counter!(signals::JOBS_RESCUED_TOTAL).increment(count);
            tracing::warn!(
                retried = rescued.retried,
                returned = rescued.returned,
                lost = rescued.lost,
                dead = rescued.dead,
                "expired job leases rescued"
            );
        }
        self.report(rescued.refused);
        let report = RunReport::handled(count);
        if !rescued.queues.is_empty() {
            self.shared.hints.publish(Hint::of(rescued.queues));
        }
        self.record_ends(&rescued.awaited).await;
        Ok(report)
    }
}
