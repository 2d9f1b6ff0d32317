//! The leases of this node: one entry for each job from its claim until the result of its attempt is written.
//!
//! An entry lives as long as the job's [`ClaimedJob`], which moves from the claimer to a worker to the
//! acknowledger, and as long as its handler. When an actor loses a `ClaimedJob` (by a crash or a kill), the
//! entry goes with it: the lease is not renewed any more, and another node takes the job over. A handler that
//! blocks its thread outlives a worker that is killed, and keeps the entry until it has ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use tokio_util::sync::CancellationToken;

use super::store::{BegunAttempt, Claim, JobRecord};
use crate::kernel::ids::JobId;

/// The leases of one node. Bounded by `concurrency` and `prefetch_max`. A clone is the same table.
#[derive(Clone, Default)]
pub(super) struct LeaseTable {
    entries: Arc<DashMap<JobId, LeaseEntry>>,
}

struct LeaseEntry {
    claim: i32,
    phase: LeasePhase,
    /// No other node takes the job over before this moment. By this node's clock, counted from before the
    /// statement was sent, and so earlier than by the database's clock.
    fresh_until: Instant,
    /// Cancelled when the job was cancelled or another node took it over.
    lost: CancellationToken,
}

/// How far a claimed job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeasePhase {
    Claimed,
    Begun,
    /// The transaction that deletes the job's row is under way or committed, so that a renewal which does not
    /// find the row does not mean a lost lease.
    Completing,
}

/// Keeps the lease of a job: it is renewed until the last of these is dropped.
pub(super) struct HeldLease {
    leases: LeaseTable,
    job: JobId,
    claim: i32,
}

/// A claimed job, and the right to write about it.
pub(super) struct ClaimedJob {
    pub(super) record: Arc<JobRecord>,
    lease: Arc<HeldLease>,
    /// Cancelled when the job was cancelled or another node took it over.
    pub(super) lost: CancellationToken,
}

/// Keeps a job from being renewed while its row is deleted. Dropped without [`committed`](Self::committed),
/// it lets renewals go on.
pub(super) struct CompletionGuard<'a> {
    leases: &'a LeaseTable,
    record: &'a JobRecord,
    committed: bool,
}

impl LeaseTable {
    /// Enters a job whose lease was given by a statement that was sent at `sent`.
    pub(super) fn insert(&self, record: JobRecord, sent: Instant, lease: Duration) -> ClaimedJob {
        let lost = CancellationToken::new();
        let phase = if record.begun { LeasePhase::Begun } else { LeasePhase::Claimed };
        let entry = LeaseEntry { claim: record.claim, phase, fresh_until: sent + lease, lost: lost.clone() };
        self.entries.insert(record.id, entry);
        let held = HeldLease { leases: self.clone(), job: record.id, claim: record.claim };
        ClaimedJob { record: Arc::new(record), lease: Arc::new(held), lost }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many jobs have begun.
    pub(super) fn begun(&self) -> usize {
        self.entries.iter().filter(|entry| entry.phase != LeasePhase::Claimed).count()
    }

    /// The claims whose leases are to be renewed.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let renewable = self.entries.iter().filter(|entry| entry.phase != LeasePhase::Completing);
        renewable.map(|entry| Claim { job: *entry.key(), number: entry.claim }).collect()
    }

    /// Applies the result of a renewal of `claims` that was sent at `sent`: the leases of `renewed` are
    /// prolonged, those of the other claims are lost. Returns how many are lost.
    pub(super) fn apply_renewal(
        &self,
        claims: &[Claim],
        renewed: &HashSet<JobId>,
        sent: Instant,
        lease: Duration,
    ) -> usize {
        let mut lost = 0;
        for claim in claims {
            // A job that ended meanwhile, is completing or was claimed anew is not concerned by this renewal.
            let Some(mut entry) =
                self.entry(claim.job, claim.number).filter(|entry| entry.phase != LeasePhase::Completing)
            else {
                continue;
            };
            if renewed.contains(&claim.job) {
                entry.fresh_until = sent + lease;
            } else {
                entry.lost.cancel();
                lost += 1;
            }
        }
        lost
    }

    /// Marks a job whose row is about to be deleted by the transaction that completes it.
    pub(super) fn begin_completion<'a>(&'a self, record: &'a JobRecord) -> CompletionGuard<'a> {
        self.set_phase(record, LeasePhase::Completing);
        CompletionGuard { leases: self, record, committed: false }
    }

    fn set_phase(&self, record: &JobRecord, phase: LeasePhase) {
        if let Some(mut entry) = self.entry(record.id, record.claim) {
            entry.phase = phase;
        }
    }

    fn entry(&self, job: JobId, claim: i32) -> Option<RefMut<'_, JobId, LeaseEntry>> {
        self.entries.get_mut(&job).filter(|entry| entry.claim == claim)
    }
}

impl ClaimedJob {
    pub(super) fn claim(&self) -> Claim {
        Claim { job: self.record.id, number: self.record.claim }
    }

    /// Another holder of the lease, for the handler of the job.
    pub(super) fn lease(&self) -> Arc<HeldLease> {
        Arc::clone(&self.lease)
    }

    /// Applies the result of a begin that was sent at `sent`.
    pub(super) fn apply_begin(&mut self, begun: &BegunAttempt, sent: Instant, lease: Duration) {
        let record = Arc::make_mut(&mut self.record);
        record.begun = true;
        record.attempts_begun = begun.attempt;
        record.waited = begun.waited;
        if let Some(mut entry) = self.lease.entry() {
            entry.phase = LeasePhase::Begun;
            entry.fresh_until = sent + lease;
        }
    }

    /// False when the lease may have run out, so that another node may be running the job.
    pub(super) fn is_fresh(&self) -> bool {
        self.lease.entry().is_some_and(|entry| Instant::now() < entry.fresh_until)
            && !self.lost.is_cancelled()
    }
}

impl HeldLease {
    fn entry(&self) -> Option<RefMut<'_, JobId, LeaseEntry>> {
        self.leases.entry(self.job, self.claim)
    }
}

impl CompletionGuard<'_> {
    /// The transaction is committed: the row is deleted.
    pub(super) fn committed(mut self) {
        self.committed = true;
    }
}

impl Drop for CompletionGuard<'_> {
    fn drop(&mut self) {
        if !self.committed {
            self.leases.set_phase(self.record, LeasePhase::Begun);
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.leases.entries.remove_if(&self.job, |_, entry| entry.claim == self.claim);
    }
}
