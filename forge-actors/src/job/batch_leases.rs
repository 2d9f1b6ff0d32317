//! The batch leases of this node, and how many of their jobs it holds.
//!
//! A batch lease is renewed while the node holds a job of it, and deleted once it holds none. Jobs that the
//! node lost hold of, because an actor crashed, are kept here until they are released.

use std::time::Instant;

use dashmap::DashMap;

use super::store::{BatchRenewal, LostJob};
use crate::kernel::ids::{JobId, LeaseId};

/// See the module. At most one lease for each job that the node holds.
#[derive(Default)]
pub(super) struct BatchTable {
    batches: DashMap<LeaseId, Batch>,
}

struct Batch {
    /// Jobs that this node holds.
    held: usize,
    /// As in a job's own entry.
    fresh_until: Instant,
    /// Jobs in the history of which the lease does not say so yet.
    finished: Vec<JobId>,
    /// Jobs that nobody holds and that are not released yet.
    abandoned: Vec<LostJob>,
}

impl BatchTable {
    /// Adds a job to a lease that was given until `fresh_until`.
    pub(super) fn enter(&self, lease: LeaseId, fresh_until: Instant) {
        let new = || Batch { held: 0, fresh_until, finished: Vec::new(), abandoned: Vec::new() };
        self.batches.entry(lease).or_insert_with(new).held += 1;
    }

    /// Until when no other node rescues the lease; `None` when the node has no such lease.
    pub(super) fn fresh_until(&self, lease: LeaseId) -> Option<Instant> {
        self.batches.get(&lease).map(|batch| batch.fresh_until)
    }

    /// A job has left its lease.
    pub(super) fn leave(&self, lease: LeaseId) {
        self.change(lease, |batch| batch.held -= 1);
    }

    /// A job of the lease is in the history.
    pub(super) fn leave_finished(&self, lease: LeaseId, job: JobId) {
        self.change(lease, |batch| {
            batch.held -= 1;
            batch.finished.push(job);
        });
    }

    /// This node has lost hold of a job.
    pub(super) fn abandon(&self, abandoned: LostJob) {
        self.change(abandoned.lease, |batch| {
            batch.held -= 1;
            batch.abandoned.push(abandoned);
        });
    }

    fn change(&self, lease: LeaseId, change: impl FnOnce(&mut Batch)) {
        if let Some(mut batch) = self.batches.get_mut(&lease) {
            change(&mut batch);
        }
    }

    /// Takes out the leases that hold no job any more, to be deleted.
    pub(super) fn take_ended(&self) -> Vec<LeaseId> {
        let has_ended = |batch: &Batch| batch.held == 0 && batch.abandoned.is_empty();
        let ended = self.batches.iter().filter(|batch| has_ended(batch)).map(|batch| *batch.key());
        let ended: Vec<LeaseId> = ended.collect();
        ended
            .into_iter()
            .filter(|lease| self.batches.remove_if(lease, |_, b| has_ended(b)).is_some())
            .collect()
    }

    /// The jobs that this node has lost hold of. They stay until [`released`](Self::released).
    pub(super) fn abandoned(&self) -> Vec<LostJob> {
        self.batches.iter().flat_map(|batch| batch.abandoned.clone()).collect()
    }

    /// These jobs have left their leases.
    pub(super) fn released(&self, jobs: &[LostJob]) {
        for job in jobs {
            self.change(job.lease, |batch| batch.abandoned.retain(|abandoned| abandoned.job != job.job));
        }
    }

    /// What is to be written about the leases, but for the jobs that have begun.
    pub(super) fn renewal(&self) -> BatchRenewal {
        let mut renewal = BatchRenewal { ended: self.take_ended(), ..BatchRenewal::default() };
        for batch in &self.batches {
            renewal.held.push(*batch.key());
            renewal.finished.extend(batch.finished.iter().map(|job| (*batch.key(), *job)));
        }
        renewal
    }

    /// The renewal is written: `renewed` hold until `fresh_until`.
    pub(super) fn renewed(
        &self,
        renewal: &BatchRenewal,
        renewed: impl Iterator<Item = LeaseId>,
        fresh_until: Instant,
    ) {
        for lease in renewed {
            self.change(lease, |batch| batch.fresh_until = fresh_until);
        }
        for (lease, job) in &renewal.finished {
            self.change(*lease, |batch| batch.finished.retain(|finished| finished != job));
        }
    }

    /// These leases are to be deleted after all: the statement that would have done it has failed.
    pub(super) fn put_back(&self, ended: Vec<LeaseId>) {
        for lease in ended {
            let batch =
                Batch { held: 0, fresh_until: Instant::now(), finished: Vec::new(), abandoned: Vec::new() };
            self.batches.insert(lease, batch);
        }
    }
}
