//! The claimer's decisions: which queue to ask next, for how many jobs, which of them begin, and who runs
//! what has begun. Pure; the clock is passed in.
//!
//! A short job is claimed long before it runs, in a large batch; a long one is claimed when a worker is free
//! for it, so that it is not kept from another node. The window tells them apart by how fast full batches are
//! used up.
//!
//! An attempt is spent by beginning it, so nothing begins that has no free worker: a claim begins as many as
//! there are workers that nobody else waits for, and what was claimed before begins in batches, one under way
//! and the next one gathering.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Jobs of one claim.
const BATCH_MAX: usize = 500;
/// Full batches that follow each other faster than this widen the window.
const FAST: Duration = Duration::from_millis(200);
/// Full batches that follow each other slower than this narrow it.
const SLOW: Duration = Duration::from_secs(1);

/// What to ask the database now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Claim jobs of a queue, and begin the first of them.
    Claim { queue: Arc<str>, limit: usize, begin: usize },
    /// Make ready what is due, and learn what is due next.
    Promote,
}

/// `T` is a claimed job.
pub(super) struct Desk<T> {
    slots: usize,
    prefetch_max: usize,
    /// Jobs that may be held beyond the slots, now.
    window: usize,
    /// Claimed and not begun.
    waiting: VecDeque<T>,
    /// How many are being begun now.
    beginning: usize,
    /// Begun: for workers that are free.
    begun: VecDeque<T>,
    idle: BTreeSet<usize>,
    /// Queues that may have work, in the order in which they are asked.
    hungry: VecDeque<Arc<str>>,
    asking: bool,
    promotion: Promotion,
    full_since: Option<Instant>,
}

/// Whether scheduled jobs should be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promotion {
    No,
    /// Once there is nothing to claim.
    Wanted,
    /// Before anything else.
    Due,
}

impl<T> Desk<T> {
    pub(super) fn new(slots: usize, prefetch_max: usize) -> Self {
        Self {
            slots,
            prefetch_max,
            window: 0,
            waiting: VecDeque::new(),
            beginning: 0,
            begun: VecDeque::new(),
            idle: BTreeSet::new(),
            hungry: VecDeque::new(),
            asking: false,
            promotion: Promotion::No,
            full_since: None,
        }
    }

    /// There may be work in these queues.
    pub(super) fn wake<'a>(&mut self, queues: impl IntoIterator<Item = &'a Arc<str>>) {
        for queue in queues {
            if !self.hungry.contains(queue) {
                self.hungry.push_back(Arc::clone(queue));
            }
        }
        self.promotion = self.promotion.max(Promotion::Wanted);
    }

    /// It is time to look at scheduled jobs.
    pub(super) fn due(&mut self) {
        self.promotion = Promotion::Due;
    }

    /// A worker is free.
    pub(super) fn idle(&mut self, worker: usize) {
        self.idle.insert(worker);
    }

    /// A worker and what it should run, while there are both.
    pub(super) fn assign(&mut self) -> Option<(usize, T)> {
        if self.begun.is_empty() {
            return None;
        }
        let worker = self.idle.pop_first()?;
        self.begun.pop_front().map(|job| (worker, job))
    }

    /// There is something to begin, for a worker that is free. One batch at a time.
    pub(super) fn can_begin(&self) -> bool {
        self.beginning == 0 && !self.waiting.is_empty() && self.idle.len() > self.begun.len()
    }

    /// What to begin now.
    pub(super) fn begin(&mut self) -> Vec<T> {
        if !self.can_begin() {
            return Vec::new();
        }
        self.beginning = (self.idle.len() - self.begun.len()).min(self.waiting.len());
        self.waiting.drain(..self.beginning).collect()
    }

    /// These have begun; what else was in the batch belongs to somebody else.
    pub(super) fn began(&mut self, jobs: impl IntoIterator<Item = T>) {
        self.beginning = 0;
        self.begun.extend(jobs);
    }

    /// Nobody knows whether these have begun: they are begun again.
    pub(super) fn not_begun(&mut self, jobs: Vec<T>) {
        self.beginning = 0;
        for job in jobs.into_iter().rev() {
            self.waiting.push_front(job);
        }
    }

    /// What to ask for, when `held` jobs are held by this node. One question at a time.
    pub(super) fn next(&mut self, held: usize) -> Option<Step> {
        if self.asking {
            return None;
        }
        let free = (self.slots + self.window).saturating_sub(held).min(BATCH_MAX);
        // A window that is still half full is not worth a round trip.
        let worth = free > 0 && self.waiting.len() <= self.window / 2;
        let step = if self.promotion == Promotion::Due {
            Step::Promote
        } else if worth && let Some(queue) = self.hungry.pop_front() {
            // The others are being begun for, or will be.
            let spare =
                self.idle.len().saturating_sub(self.begun.len() + self.beginning + self.waiting.len());
            Step::Claim { queue, limit: free, begin: spare.min(free) }
        } else if self.promotion == Promotion::Wanted {
            Step::Promote
        } else {
            return None;
        };
        if step == Step::Promote {
            self.promotion = Promotion::No;
        }
        self.asking = true;
        Some(step)
    }

    /// A claim of `limit` jobs brought these, in the order in which they should run; the first `begun` of
    /// them have begun.
    pub(super) fn claimed(
        &mut self,
        queue: Arc<str>,
        limit: usize,
        mut jobs: Vec<T>,
        begun: usize,
        now: Instant,
    ) {
        self.asking = false;
        let full = jobs.len() >= limit;
        self.waiting.extend(jobs.split_off(begun.min(jobs.len())));
        self.begun.extend(jobs);
        if !full {
            self.full_since = None;
            return;
        }
        // There may be more; other queues are asked first.
        if !self.hungry.contains(&queue) {
            self.hungry.push_back(queue);
        }
        if let Some(before) = self.full_since.replace(now) {
            let took = now.saturating_duration_since(before);
            if took < FAST {
                self.window = (self.window * 2).max(self.slots).min(self.prefetch_max);
            } else if took > SLOW {
                self.window /= 2;
            }
        }
    }

    /// These queues got jobs that were due.
    pub(super) fn promoted<'a>(&mut self, queues: impl IntoIterator<Item = &'a Arc<str>>) {
        self.asking = false;
        let promotion = self.promotion;
        self.wake(queues);
        self.promotion = promotion;
    }

    /// The question was not answered; it is asked again.
    pub(super) fn failed(&mut self, step: Step) {
        self.asking = false;
        match step {
            Step::Claim { queue, .. } => self.wake([&queue]),
            Step::Promote => self.due(),
        }
    }

    /// Everything that no worker has.
    pub(super) fn surrender(&mut self) -> impl Iterator<Item = T> + '_ {
        self.begun.drain(..).chain(self.waiting.drain(..))
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> usize {
        self.window
    }
}
