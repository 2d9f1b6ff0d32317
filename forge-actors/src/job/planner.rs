//! The claimer's decisions: which queue to claim from next, how many jobs, which of them begin, and which
//! worker runs a job that has begun. Pure; the clock is passed in.
//!
//! A short job is claimed long before it runs, in a large batch; a long one is claimed when a worker is free
//! for it, so that other nodes can claim it before. The window, which is how many jobs may be claimed beyond
//! the workers, follows from how fast full batches are used up.
//!
//! An attempt is spent when it begins, so no job begins without a free worker. A claim begins as many of its
//! jobs as there are free workers that no earlier job waits for. Jobs that were claimed before begin in
//! batches: while one batch is being written, the next one gathers.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Jobs of one claim.
const BATCH_MAX: usize = 500;
/// Full batches that follow each other faster than this widen the window.
const FAST: Duration = Duration::from_millis(200);
/// Full batches that follow each other slower than this narrow the window.
const SLOW: Duration = Duration::from_secs(1);

/// The statement to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClaimStep {
    /// Claim at most `limit` jobs of a queue, and begin the first `begin` of them.
    Claim { queue: Arc<str>, limit: usize, begin: usize },
    /// Make the scheduled jobs ready whose time has come, and learn when the next one is due.
    Promote,
}

/// Plans the claims of one node. `T` is a claimed job.
pub(super) struct ClaimPlanner<T> {
    workers: usize,
    prefetch_max: usize,
    /// How many jobs the node may hold beyond its workers, at the present pace.
    window: usize,
    /// Jobs that are claimed and have not begun.
    claimed: VecDeque<T>,
    /// How many jobs are being begun by the statement that is under way.
    beginning: usize,
    /// Jobs that have begun and wait to be assigned; a worker was free when the begin was sent.
    begun: VecDeque<T>,
    free_workers: BTreeSet<usize>,
    /// Queues that may have work, in the order in which they are asked.
    pending_queues: VecDeque<Arc<str>>,
    /// A claim or a promotion is under way.
    busy: bool,
    promotion: Promotion,
    /// When the last claim came back full.
    full_since: Option<Instant>,
}

/// How urgent it is to promote scheduled jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promotion {
    No,
    /// When there is nothing to claim.
    Wanted,
    /// Before anything else.
    Due,
}

impl<T> ClaimPlanner<T> {
    pub(super) fn new(workers: usize, prefetch_max: usize) -> Self {
        Self {
            workers,
            prefetch_max,
            window: 0,
            claimed: VecDeque::new(),
            beginning: 0,
            begun: VecDeque::new(),
            free_workers: BTreeSet::new(),
            pending_queues: VecDeque::new(),
            busy: false,
            promotion: Promotion::No,
            full_since: None,
        }
    }

    /// Notes that there may be work in these queues, and that scheduled jobs may have been dispatched.
    pub(super) fn wake<'a>(&mut self, queues: impl IntoIterator<Item = &'a Arc<str>>) {
        for queue in queues {
            if !self.pending_queues.contains(queue) {
                self.pending_queues.push_back(Arc::clone(queue));
            }
        }
        self.promotion_wanted();
    }

    /// Notes that scheduled jobs were written, whose time the next promotion learns.
    pub(super) fn promotion_wanted(&mut self) {
        self.promotion = self.promotion.max(Promotion::Wanted);
    }

    /// Notes that scheduled jobs may have become due.
    pub(super) fn promotion_due(&mut self) {
        self.promotion = Promotion::Due;
    }

    /// Notes that a worker is free.
    pub(super) fn worker_free(&mut self, worker: usize) {
        self.free_workers.insert(worker);
    }

    /// A free worker and the job that it is to run, while there are both.
    pub(super) fn assign(&mut self) -> Option<(usize, T)> {
        if self.begun.is_empty() {
            return None;
        }
        let worker = self.free_workers.pop_first()?;
        self.begun.pop_front().map(|job| (worker, job))
    }

    /// True when there is a job to begin and a worker that is free for it. One batch begins at a time.
    pub(super) fn can_begin(&self) -> bool {
        self.beginning == 0 && !self.claimed.is_empty() && self.free_workers.len() > self.begun.len()
    }

    /// The batch of jobs to begin now; it is answered with [`begun`](Self::begun) or
    /// [`begin_failed`](Self::begin_failed).
    pub(super) fn begin_batch(&mut self) -> Vec<T> {
        if !self.can_begin() {
            return Vec::new();
        }
        self.beginning = (self.free_workers.len() - self.begun.len()).min(self.claimed.len());
        self.claimed.drain(..self.beginning).collect()
    }

    /// The batch is written: these jobs have begun. The other jobs of the batch were cancelled or taken over.
    pub(super) fn begun(&mut self, jobs: impl IntoIterator<Item = T>) {
        self.beginning = 0;
        self.begun.extend(jobs);
    }

    /// The batch may be written or not: these jobs are begun again, which counts no second attempt.
    pub(super) fn begin_failed(&mut self, jobs: Vec<T>) {
        self.beginning = 0;
        for job in jobs.into_iter().rev() {
            self.claimed.push_front(job);
        }
    }

    /// The statement to send now, when this node holds `held` jobs; it is answered with
    /// [`claimed`](Self::claimed), [`promoted`](Self::promoted) or [`failed`](Self::failed). One at a time.
    pub(super) fn next(&mut self, held: usize) -> Option<ClaimStep> {
        if self.busy {
            return None;
        }
        let capacity = (self.workers + self.window).saturating_sub(held).min(BATCH_MAX);
        // A window that is still half full is not worth a round trip.
        let worthwhile = capacity > 0 && self.claimed.len() <= self.window / 2;
        let step = if self.promotion == Promotion::Due {
            ClaimStep::Promote
        } else if worthwhile && let Some(queue) = self.pending_queues.pop_front() {
            // Free workers that are left when every begun, beginning and claimed job has one.
            let spare = self
                .free_workers
                .len()
                .saturating_sub(self.begun.len() + self.beginning + self.claimed.len());
            ClaimStep::Claim { queue, limit: capacity, begin: spare.min(capacity) }
        } else if self.promotion == Promotion::Wanted {
            ClaimStep::Promote
        } else {
            return None;
        };
        if step == ClaimStep::Promote {
            self.promotion = Promotion::No;
        }
        self.busy = true;
        Some(step)
    }

    /// A claim of `limit` jobs returned these, in the order in which they are to run; the first `begun` of
    /// them have begun.
    pub(super) fn claimed(
        &mut self,
        queue: Arc<str>,
        limit: usize,
        mut jobs: Vec<T>,
        begun: usize,
        now: Instant,
    ) {
        self.busy = false;
        let full = jobs.len() >= limit;
        self.claimed.extend(jobs.split_off(begun.min(jobs.len())));
        self.begun.extend(jobs);
        if !full {
            self.full_since = None;
            return;
        }
        // The queue may have more jobs. It is asked again after the other queues.
        if !self.pending_queues.contains(&queue) {
            self.pending_queues.push_back(queue);
        }
        if let Some(before) = self.full_since.replace(now) {
            let took = now.saturating_duration_since(before);
            if took < FAST {
                self.window = (self.window * 2).max(self.workers).min(self.prefetch_max);
            } else if took > SLOW {
                self.window /= 2;
            }
        }
    }

    /// A promotion made jobs of these queues ready.
    pub(super) fn promoted<'a>(&mut self, queues: impl IntoIterator<Item = &'a Arc<str>>) {
        self.busy = false;
        // Waking the queues must not ask for the next promotion.
        let promotion = self.promotion;
        self.wake(queues);
        self.promotion = promotion;
    }

    /// The statement failed; it is planned again.
    pub(super) fn failed(&mut self, step: ClaimStep) {
        self.busy = false;
        match step {
            ClaimStep::Claim { queue, .. } => self.wake([&queue]),
            ClaimStep::Promote => self.promotion_due(),
        }
    }

    /// Takes out all jobs that no worker has.
    pub(super) fn take_unassigned(&mut self) -> impl Iterator<Item = T> + '_ {
        self.begun.drain(..).chain(self.claimed.drain(..))
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> usize {
        self.window
    }
}
