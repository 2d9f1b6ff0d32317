//! The leases of this node: one entry for each job from its claim until the result of its attempt is written,
//! and one for each batch lease until it holds no job.
//!
//! An entry lives as long as the job's [`ClaimedJob`], which moves from the claimer to a worker to the
//! acknowledger, and as long as its handler: as long as its [`HeldLease`] has a holder. When an actor loses a
//! `ClaimedJob` (by a crash or a kill), the entry goes with it. A lease on the job's own row is then not
//! renewed any more, and another node takes the job over. A batch lease is renewed for its other jobs, so the
//! acknowledger releases the lost job from it. A handler that blocks its thread outlives a worker that is
//! killed, and keeps the entry until it has ended.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio_util::sync::CancellationToken;

use super::batch_leases::BatchTable;
use super::store::{BatchRenewal, BegunAttempt, Claim, Hold, JobRecord, LostJob, RenewedBatch};
use crate::kernel::ids::{JobId, LeaseId};
use crate::kernel::resource::ResourceNeeds;

/// The leases of one node. Bounded by `concurrency` and `prefetch_max`. A clone is the same table.
#[derive(Clone)]
pub(super) struct LeaseTable {
    entries: Arc<DashMap<JobId, Weak<HeldLease>>>,
    pub(super) batches: Arc<BatchTable>,
    /// Moments are counted from here.
    made: Instant,
}

/// How far a claimed job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
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

/// Keeps the lease of a job: it is renewed until the last holder drops this.
pub(super) struct HeldLease {
    leases: LeaseTable,
    job: JobId,
    hold: Hold,
    attempts_before: u32,
    /// What the job takes of its node's resources.
    resources: ResourceNeeds,
    /// A [`LeasePhase`].
    phase: AtomicU8,
    /// No other node takes the job over before this moment, in nanoseconds since the table was made. By this
    /// node's clock, counted from before the statement was sent, and so earlier than by the database's clock.
    /// Unused for a job of a batch lease, which has that moment itself.
    fresh_until: AtomicU64,
    /// Cancelled when the job was cancelled or another node took it over; made for the task that waits
    /// for that.
    lost: OnceLock<CancellationToken>,
}

/// A claimed job, and the right to write about it.
pub(super) struct ClaimedJob {
    pub(super) record: Arc<JobRecord>,
    lease: Arc<HeldLease>,
    /// When the claim was sent.
    claimed: Instant,
}

/// Keeps a job from being renewed while its row is deleted. Dropped without [`finished`](Self::finished) or
/// [`left`](Self::left), it lets renewals go on.
pub(super) struct CompletionGuard<'a> {
    leases: &'a LeaseTable,
    record: &'a JobRecord,
    /// What the committed transaction has made of the job.
    committed: Option<LeasePhase>,
}

impl Default for LeaseTable {
    fn default() -> Self {
        Self { entries: Arc::default(), batches: Arc::default(), made: Instant::now() }
    }
}

impl LeaseTable {
    /// Enters a job whose lease was given by a statement that was sent at `sent`.
    pub(super) fn insert(&self, record: JobRecord, sent: Instant, lease: Duration) -> ClaimedJob {
        let phase = if record.begun { LeasePhase::Begun } else { LeasePhase::Claimed };
        if let Hold::Batch(batch) = record.hold {
            self.batches.enter(batch, sent + lease);
        }
        let held = Arc::new(HeldLease {
            leases: self.clone(),
            job: record.id,
            hold: record.hold,
            attempts_before: record.attempts_before(),
            resources: record.resources,
            phase: AtomicU8::new(phase as u8),
            fresh_until: AtomicU64::new(self.nanos_of(sent + lease)),
            lost: OnceLock::new(),
        });
        self.entries.insert(record.id, Arc::downgrade(&held));
        ClaimedJob { record: Arc::new(record), lease: held, claimed: sent }
    }

    fn nanos_of(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.made).as_nanos()).unwrap_or(u64::MAX)
    }

    /// The jobs that are held now. Collected, because the last holder of a lease removes its entry, which
    /// must not happen while the table is walked through.
    fn held(&self) -> Vec<Arc<HeldLease>> {
        self.entries.iter().filter_map(|entry| entry.upgrade()).collect()
    }

    /// What the held jobs take of the node's resources, those that take some.
    pub(super) fn resources(&self) -> impl Iterator<Item = ResourceNeeds> {
        let needs = self.held().into_iter().map(|held| held.resources);
        needs.filter(|needs| !needs.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many jobs have begun.
    pub(super) fn begun(&self) -> usize {
        self.held().iter().filter(|held| held.phase() != LeasePhase::Claimed).count()
    }

    /// The claims on rows whose leases are to be renewed.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let held = self.held();
        let renewable = held.iter().filter(|held| held.phase() != LeasePhase::Completing);
        renewable
            .filter_map(|held| match held.hold {
                Hold::Row(number) => Some(Claim { job: held.job, number }),
                Hold::Batch(_) => None,
            })
            .collect()
    }

    /// What is to be written about the batch leases.
    pub(super) fn batch_renewal(&self) -> BatchRenewal {
        let mut renewal = self.batches.renewal();
        let held: HashSet<LeaseId> = renewal.held.iter().copied().collect();
        for entry in self.held().iter().filter(|entry| entry.phase() == LeasePhase::Begun) {
            if let Hold::Batch(lease) = entry.hold
                && held.contains(&lease)
            {
                renewal.begun.push((lease, entry.job));
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
            let Some(held) = self
                .find(claim.job, Hold::Row(claim.number))
                .filter(|held| held.phase() != LeasePhase::Completing)
            else {
                continue;
            };
            if renewed.contains(&claim.job) {
                held.prolong(sent + lease);
            } else {
                held.lose();
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
        for held in self.held() {
            let Hold::Batch(batch) = held.hold else { continue };
            let has_ended = matches!(held.phase(), LeasePhase::Finished | LeasePhase::Left);
            if has_ended || !sent_leases.contains(&batch) {
                continue;
            }
            if gone.get(&batch).is_none_or(|gone| gone.contains(&held.job)) {
                held.set_phase(LeasePhase::Left);
                held.lose();
                lost += 1;
            }
        }
        lost
    }

    /// Marks a job that is about to be ended by a transaction.
    pub(super) fn begin_completion<'a>(&'a self, record: &'a JobRecord) -> CompletionGuard<'a> {
        self.set_phase(record, LeasePhase::Completing);
        CompletionGuard { leases: self, record, committed: None }
    }

    fn set_phase(&self, record: &JobRecord, phase: LeasePhase) {
        if let Some(held) = self.find(record.id, record.hold) {
            held.set_phase(phase);
        }
    }

    fn find(&self, job: JobId, hold: Hold) -> Option<Arc<HeldLease>> {
        self.entries.get(&job).and_then(|entry| entry.upgrade()).filter(|held| held.hold == hold)
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
        self.lease.set_phase(LeasePhase::Begun);
        self.lease.prolong(sent + lease);
    }

    /// Begins an attempt of a job of a batch lease, of which nothing is written.
    pub(super) fn begin_unwritten(&mut self) {
        let record = Arc::make_mut(&mut self.record);
        record.begun = true;
        record.attempts_begun += 1;
        record.waited += self.claimed.elapsed();
        self.lease.set_phase(LeasePhase::Begun);
    }

    /// False when the lease may have run out, so that another node may be running the job.
    pub(super) fn is_fresh(&self) -> bool {
        let leases = &self.lease.leases;
        let is_fresh = match self.record.hold {
            Hold::Row(_) => leases.nanos_of(Instant::now()) < self.lease.fresh_until.load(Ordering::Relaxed),
            Hold::Batch(lease) => {
                leases.batches.fresh_until(lease).is_some_and(|until| Instant::now() < until)
            }
        };
        is_fresh && !self.is_lost()
    }

    /// Whether the job was cancelled or another node took it over.
    pub(super) fn is_lost(&self) -> bool {
        self.lease.lost.get().is_some_and(CancellationToken::is_cancelled)
    }

    /// Waits until the job is lost.
    pub(super) async fn lost(&self) {
        self.lease.lost.get_or_init(CancellationToken::new).cancelled().await;
    }

    /// Notes that the job is in the history.
    pub(super) fn finished(&self) {
        self.lease.set_phase(LeasePhase::Finished);
    }

    /// Notes that the job has left its lease.
    pub(super) fn left(&self) {
        self.lease.set_phase(LeasePhase::Left);
    }
}

impl HeldLease {
    fn phase(&self) -> LeasePhase {
        const PHASES: [LeasePhase; 5] = [
            LeasePhase::Claimed,
            LeasePhase::Begun,
            LeasePhase::Completing,
            LeasePhase::Finished,
            LeasePhase::Left,
        ];
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    fn set_phase(&self, phase: LeasePhase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn prolong(&self, until: Instant) {
        self.fresh_until.store(self.leases.nanos_of(until), Ordering::Relaxed);
    }

    fn lose(&self) {
        self.lost.get_or_init(CancellationToken::new).cancel();
    }
}

impl CompletionGuard<'_> {
    /// The transaction is committed: the job has ended.
    pub(super) fn finished(mut self) {
        self.committed = Some(LeasePhase::Finished);
    }

    /// The transaction is committed: the job waits again.
    pub(super) fn left(mut self) {
        self.committed = Some(LeasePhase::Left);
    }
}

impl Drop for CompletionGuard<'_> {
    fn drop(&mut self) {
        let in_batch = self.record.batch().is_some();
        match self.committed {
            // The row is not held any more, and the entry goes with its job.
            Some(_) if !in_batch => {}
            Some(phase) => self.leases.set_phase(self.record, phase),
            None => self.leases.set_phase(self.record, LeasePhase::Begun),
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        // The job may have been claimed anew by this node, under another entry.
        self.leases.entries.remove_if(&self.job, |_, entry| std::ptr::eq(entry.as_ptr(), self));
        let Hold::Batch(lease) = self.hold else { return };
        let batches = &self.leases.batches;
        match self.phase() {
            LeasePhase::Finished => batches.leave_finished(lease, self.job),
            LeasePhase::Left => batches.leave(lease),
            LeasePhase::Claimed | LeasePhase::Begun | LeasePhase::Completing => {
                let attempts = self.attempts_before;
                batches.abandon(LostJob { lease, job: self.job, attempts });
            }
        }
    }
}
