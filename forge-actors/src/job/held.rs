//! What this node holds: one entry for each job from its claim until its end is written.
//!
//! The entry lives as long as the job's [`Ticket`], which moves from the claimer to a worker to the
//! acknowledger. Whoever loses a ticket (a crash, a kill, a full mailbox) ends the entry with it, so that its
//! lease is not renewed any more and another node takes over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use tokio_util::sync::CancellationToken;

use super::store::{Begun, Job};
use crate::kernel::ids::JobId;

/// The jobs of one node. Bounded by `concurrency` and `prefetch_max`. A clone is the same table.
#[derive(Clone, Default)]
pub(super) struct Held {
    entries: Arc<DashMap<JobId, Entry>>,
}

struct Entry {
    claim: i32,
    phase: Phase,
    /// Until then nobody takes it over, by this node's clock: earlier than by the database's.
    fresh_until: Instant,
    /// The job belongs to somebody else now, or to nobody.
    lost: CancellationToken,
}

/// How far a job is that this node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Claimed,
    Begun,
    /// The transaction that takes its row away is under way, or committed: that the row is gone says nothing.
    Concluding,
}

/// A claim, for a begin or a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// The number of the claim.
    pub number: i32,
}

/// A claimed job, and the right to write about it.
pub(super) struct Ticket {
    pub(super) job: Arc<Job>,
    held: Held,
    pub(super) lost: CancellationToken,
}

/// Keeps a job from being renewed while its row goes; when it is dropped, unless the row is gone, all is as
/// before.
pub(super) struct Concluding<'a> {
    held: &'a Held,
    job: &'a Job,
    gone: bool,
}

impl Held {
    /// Holds a job whose lease was given by a statement that was sent at `asked`.
    pub(super) fn admit(&self, job: Job, asked: Instant, lease: Duration) -> Ticket {
        let lost = CancellationToken::new();
        let phase = if job.begun { Phase::Begun } else { Phase::Claimed };
        let entry = Entry { claim: job.claim, phase, fresh_until: asked + lease, lost: lost.clone() };
        self.entries.insert(job.id, entry);
        Ticket { job: Arc::new(job), held: self.clone(), lost }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many have begun.
    pub(super) fn begun(&self) -> usize {
        self.entries.iter().filter(|entry| entry.phase != Phase::Claimed).count()
    }

    /// What is to be renewed.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let held = self.entries.iter().filter(|entry| entry.phase != Phase::Concluding);
        held.map(|entry| Claim { job: *entry.key(), number: entry.claim }).collect()
    }

    /// Takes over what a renewal that was sent at `asked` said: `renewed` are still ours, of `asked_for` the
    /// others are not.
    pub(super) fn renewed(
        &self,
        asked_for: &[Claim],
        renewed: &HashSet<JobId>,
        asked: Instant,
        lease: Duration,
    ) -> usize {
        let mut lost = 0;
        for claim in asked_for {
            // Ended meanwhile, about to end, or claimed anew: then this answer says nothing about it.
            let Some(mut entry) =
                self.entry(claim.job, claim.number).filter(|entry| entry.phase != Phase::Concluding)
            else {
                continue;
            };
            if renewed.contains(&claim.job) {
                entry.fresh_until = asked + lease;
            } else {
                entry.lost.cancel();
                lost += 1;
            }
        }
        lost
    }

    /// The transaction that finishes the job is about to take its row away.
    pub(super) fn conclude<'a>(&'a self, job: &'a Job) -> Concluding<'a> {
        self.enter(job, Phase::Concluding);
        Concluding { held: self, job, gone: false }
    }

    fn enter(&self, job: &Job, phase: Phase) {
        if let Some(mut entry) = self.entry(job.id, job.claim) {
            entry.phase = phase;
        }
    }

    fn entry(&self, job: JobId, claim: i32) -> Option<RefMut<'_, JobId, Entry>> {
        self.entries.get_mut(&job).filter(|entry| entry.claim == claim)
    }
}

impl Ticket {
    pub(super) fn claim(&self) -> Claim {
        Claim { job: self.job.id, number: self.job.claim }
    }

    /// Takes over what a begin that was sent at `asked` said.
    pub(super) fn begun(&mut self, begun: &Begun, asked: Instant, lease: Duration) {
        let job = Arc::make_mut(&mut self.job);
        (job.begun, job.attempt, job.waited) = (true, begun.attempt, begun.waited);
        if let Some(mut entry) = self.held.entry(self.job.id, self.job.claim) {
            (entry.phase, entry.fresh_until) = (Phase::Begun, asked + lease);
        }
    }

    /// False when the lease may have run out, and somebody else may be at it.
    pub(super) fn is_fresh(&self) -> bool {
        let entry = self.held.entry(self.job.id, self.job.claim);
        entry.is_some_and(|entry| Instant::now() < entry.fresh_until) && !self.lost.is_cancelled()
    }
}

impl Concluding<'_> {
    /// The row is gone, by the commit.
    pub(super) fn committed(mut self) {
        self.gone = true;
    }
}

impl Drop for Concluding<'_> {
    fn drop(&mut self) {
        if !self.gone {
            self.held.enter(self.job, Phase::Begun);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.held.entries.remove_if(&self.job.id, |_, entry| entry.claim == self.job.claim);
    }
}
