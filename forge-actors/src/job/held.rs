//! What this node holds: one entry for each job from its claim until its end is written.
//!
//! The entry lives as long as the job's [`Ticket`], which moves from the claimer to a worker to the acknowledger. Whoever loses a ticket
//! (a crash, a kill, a full mailbox) ends the entry with it, so that its lease is not renewed any more and another node takes over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio_util::sync::CancellationToken;

use super::store::Job;
use crate::kernel::ids::JobId;

/// The jobs of one node. Bounded by `concurrency` and `prefetch_max`. A clone is the same table.
#[derive(Clone, Default)]
pub(super) struct Held {
    entries: Arc<DashMap<JobId, Entry>>,
}

struct Entry {
    claim: i32,
    /// A worker has begun it.
    begun: bool,
    /// Until then nobody takes it over, by this node's clock: earlier than by the database's.
    fresh_until: Instant,
    /// The job belongs to somebody else now, or to nobody.
    lost: CancellationToken,
}

/// A claim, for a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// The number of the claim.
    pub number: i32,
    /// Its handler has been started.
    pub begun: bool,
}

/// A claimed job, and the right to write about it.
pub(super) struct Ticket {
    pub(super) job: Arc<Job>,
    held: Held,
    pub(super) lost: CancellationToken,
}

impl Held {
    /// Holds a job whose lease was given by a statement that was sent at `asked`.
    pub(super) fn admit(&self, job: Job, asked: Instant, lease: Duration) -> Ticket {
        let lost = CancellationToken::new();
        let entry = Entry { claim: job.claim, begun: false, fresh_until: asked + lease, lost: lost.clone() };
        self.entries.insert(job.id, entry);
        Ticket { job: Arc::new(job), held: self.clone(), lost }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        self.entries.iter().map(|entry| Claim { job: *entry.key(), number: entry.claim, begun: entry.begun }).collect()
    }

    /// Takes over what a renewal that was sent at `asked` said: `renewed` are still ours, of `asked_for` the others are not.
    pub(super) fn renewed(&self, asked_for: &[Claim], renewed: &HashSet<JobId>, asked: Instant, lease: Duration) -> usize {
        let mut lost = 0;
        for claim in asked_for {
            // Ended meanwhile, or claimed anew: then this answer says nothing about it.
            let Some(mut entry) = self.entries.get_mut(&claim.job).filter(|entry| entry.claim == claim.number) else { continue };
            if renewed.contains(&claim.job) {
                entry.fresh_until = asked + lease;
            } else {
                entry.lost.cancel();
                lost += 1;
            }
        }
        lost
    }
}

impl Ticket {
    /// Marks the beginning; false when the lease may have run out, and somebody else may be at it.
    pub(super) fn begin(&self) -> bool {
        let Some(mut entry) = self.held.entries.get_mut(&self.job.id).filter(|entry| entry.claim == self.job.claim) else { return false };
        entry.begun = true;
        Instant::now() < entry.fresh_until && !self.lost.is_cancelled()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.held.entries.remove_if(&self.job.id, |_, entry| entry.claim == self.job.claim);
    }
}
