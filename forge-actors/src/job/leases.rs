//! The leases of this node: one entry for each job from its claim until the result of its attempt is written,
//! and one for each batch lease until it holds no job.
//!
//! An entry lives as long as the job's [`ClaimedJob`], which moves from the claimer to a worker to the
//! acknowledger, and as long as its handler. When an actor loses a `ClaimedJob` (by a crash or a kill), the
//! entry goes with it. A lease on the job's own row is then not renewed any more, and another node takes the
//! job over. A batch lease is renewed for its other jobs, so the acknowledger releases the lost job from it.
//! A handler that blocks its thread outlives a worker that is killed, and keeps the entry until it has ended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use tokio_util::sync::CancellationToken;

use super::batch_leases::BatchTable;
use super::store::{BatchRenewal, BegunAttempt, Claim, Hold, JobRecord, LostJob, RenewedBatch};
use crate::kernel::ids::{JobId, LeaseId};

/// The leases of one node. Bounded by `concurrency` and `prefetch_max`. A clone is the same table.
#[derive(Clone, Default)]
pub(super) struct LeaseTable {
    entries: Arc<DashMap<JobId, LeaseEntry>>,
    pub(super) batches: Arc<BatchTable>,
}

struct LeaseEntry {
    hold: Hold,
    phase: LeasePhase,
    /// No other node takes the job over before this moment. By this node's clock, counted from before the
    /// statement was sent, and so earlier than by the database's clock. Unused for a job of a batch lease,
    /// which has that moment itself.
    fresh_until: Instant,
    /// Cancelled when the job was cancelled or another node took it over.
    lost: CancellationToken,
}

/// How far a claimed job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeasePhase {
    Claimed,
    Begun,
    /// The transaction that ends the job is under way or committed, so that a renewal which does not find the
    /// row does not mean a lost lease.
    Completing,
    /// The job is in the history.
    Finished,
    /// The job has left its lease, or another node has it.
    Left,
}

/// Keeps the lease of a job: it is renewed until the last of these is dropped.
pub(super) struct HeldLease {
    leases: LeaseTable,
    job: JobId,
    hold: Hold,
    attempts_before: u32,
}

/// A claimed job, and the right to write about it.
pub(super) struct ClaimedJob {
    pub(super) record: Arc<JobRecord>,
    lease: Arc<HeldLease>,
    /// When the claim was sent.
    claimed: Instant,
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
        let fresh_until = sent + lease;
        if let Hold::Batch(batch) = record.hold {
            self.batches.enter(batch, fresh_until);
        }
        let entry = LeaseEntry { hold: record.hold, phase, fresh_until, lost: lost.clone() };
        self.entries.insert(record.id, entry);
        let held = HeldLease {
            leases: self.clone(),
            job: record.id,
            hold: record.hold,
            attempts_before: record.attempts_before(),
        };
        ClaimedJob { record: Arc::new(record), lease: Arc::new(held), claimed: sent, lost }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many jobs have begun.
    pub(super) fn begun(&self) -> usize {
        self.entries.iter().filter(|entry| entry.phase != LeasePhase::Claimed).count()
    }

    /// The claims on rows whose leases are to be renewed.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let renewable = self.entries.iter().filter(|entry| entry.phase != LeasePhase::Completing);
        renewable
            .filter_map(|entry| match entry.hold {
                Hold::Row(number) => Some(Claim { job: *entry.key(), number }),
                Hold::Batch(_) => None,
            })
            .collect()
    }

    /// What is to be written about the batch leases.
    pub(super) fn batch_renewal(&self) -> BatchRenewal {
        let mut renewal = self.batches.renewal();
        let held: HashSet<LeaseId> = renewal.held.iter().copied().collect();
        for entry in self.entries.iter().filter(|entry| entry.phase == LeasePhase::Begun) {
            if let Hold::Batch(lease) = entry.hold
                && held.contains(&lease)
            {
                renewal.begun.push((lease, *entry.key()));
            }
        }
        renewal
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
            let Some(mut entry) = self
                .entry(claim.job, Hold::Row(claim.number))
                .filter(|entry| entry.phase != LeasePhase::Completing)
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

    /// Applies the result of a renewal of batch leases that was sent at `sent`. A job that its lease does not
    /// hold any more, or whose lease is gone, is lost. Returns how many are lost.
    pub(super) fn apply_batch_renewal(
        &self,
        renewal: &BatchRenewal,
        renewed: Vec<RenewedBatch>,
        sent: Instant,
        lease: Duration,
    ) -> usize {
        self.batches.renewed(renewal, renewed.iter().map(|batch| batch.lease), sent + lease);
        let sent_leases: HashSet<LeaseId> = renewal.held.iter().copied().collect();
        let gone: HashMap<LeaseId, HashSet<JobId>> =
            renewed.into_iter().map(|batch| (batch.lease, batch.gone)).collect();
        let mut lost = 0;
        for mut entry in self.entries.iter_mut() {
            let Hold::Batch(batch) = entry.hold else { continue };
            if !sent_leases.contains(&batch) || matches!(entry.phase, LeasePhase::Finished | LeasePhase::Left)
            {
                continue;
            }
            if gone.get(&batch).is_none_or(|gone| gone.contains(entry.key())) {
                entry.phase = LeasePhase::Left;
                entry.lost.cancel();
                lost += 1;
            }
        }
        lost
    }

    /// Marks a job that is about to be ended by a transaction.
    pub(super) fn begin_completion<'a>(&'a self, record: &'a JobRecord) -> CompletionGuard<'a> {
        self.set_phase(record, LeasePhase::Completing);
        CompletionGuard { leases: self, record, committed: false }
    }

    /// Notes that a job is in the history.
    pub(super) fn finished(&self, record: &JobRecord) {
        self.set_phase(record, LeasePhase::Finished);
    }

    /// Notes that a job has left its lease.
    pub(super) fn left(&self, record: &JobRecord) {
        self.set_phase(record, LeasePhase::Left);
    }

    fn set_phase(&self, record: &JobRecord, phase: LeasePhase) {
        if let Some(mut entry) = self.entry(record.id, record.hold) {
            entry.phase = phase;
        }
    }

    fn entry(&self, job: JobId, hold: Hold) -> Option<RefMut<'_, JobId, LeaseEntry>> {
        self.entries.get_mut(&job).filter(|entry| entry.hold == hold)
    }
}

impl ClaimedJob {
    /// The claim on the job's own row.
    pub(super) fn claim(&self) -> Claim {
        Claim { job: self.record.id, number: self.record.claim }
    }

    /// True when a begin is to be written before the handler starts: the job's own row holds it, and its
    /// attempt has not begun.
    pub(super) fn needs_begin(&self) -> bool {
        !self.record.begun && self.record.batch().is_none()
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

    /// Begins an attempt of a job of a batch lease, of which nothing is written.
    pub(super) fn begin_unwritten(&mut self) {
        let record = Arc::make_mut(&mut self.record);
        record.begun = true;
        record.attempts_begun += 1;
        record.waited += self.claimed.elapsed();
        if let Some(mut entry) = self.lease.entry() {
            entry.phase = LeasePhase::Begun;
        }
    }

    /// False when the lease may have run out, so that another node may be running the job.
    pub(super) fn is_fresh(&self) -> bool {
        let of_row = || self.lease.entry().map(|entry| entry.fresh_until);
        let fresh_until = match self.record.hold {
            Hold::Row(_) => of_row(),
            Hold::Batch(lease) => self.lease.leases.batches.fresh_until(lease),
        };
        fresh_until.is_some_and(|until| Instant::now() < until) && !self.lost.is_cancelled()
    }
}

impl HeldLease {
    fn entry(&self) -> Option<RefMut<'_, JobId, LeaseEntry>> {
        self.leases.entry(self.job, self.hold)
    }
}

impl CompletionGuard<'_> {
    /// The transaction is committed: the job has ended.
    pub(super) fn committed(mut self) {
        self.committed = true;
    }
}

impl Drop for CompletionGuard<'_> {
    fn drop(&mut self) {
        let in_batch = self.record.batch().is_some();
        match self.committed {
            // The row is deleted, and the entry goes with its job.
            true if !in_batch => {}
            true => self.leases.finished(self.record),
            false => self.leases.set_phase(self.record, LeasePhase::Begun),
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let removed = self.leases.entries.remove_if(&self.job, |_, entry| entry.hold == self.hold);
        let Hold::Batch(lease) = self.hold else { return };
        // A job whose entry is another one by now was claimed anew, so it has left this lease.
        let phase = removed.map_or(LeasePhase::Left, |(_, entry)| entry.phase);
        let batches = &self.leases.batches;
        match phase {
            LeasePhase::Finished => batches.leave_finished(lease, self.job),
            LeasePhase::Left => batches.leave(lease),
            LeasePhase::Claimed | LeasePhase::Begun | LeasePhase::Completing => {
                let attempts = self.attempts_before;
                batches.abandon(LostJob { lease, job: self.job, attempts });
            }
        }
    }
}
