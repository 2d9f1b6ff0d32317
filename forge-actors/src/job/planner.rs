//! The claimer's decisions: which queue to claim from next, how many jobs, which of them begin, and which
//! worker runs a job that has begun. Pure; the clock is passed in.
//!
//! A short job is claimed long before it runs, in a large batch; a long one is claimed when a worker is free
//! for it, so that other nodes can claim it before. The window, which is how many jobs may be claimed beyond
//! the workers, follows from how fast full batches are used up. A job that waits all the same, because those
//! before it turned out long, is given back for other nodes.
//!
//! No job begins without a free worker, and none beyond the share of its queue ([`QueueLoad`]). A job of a
//! batch lease is assigned as soon as a worker is free for it. The begin of a job that its own row holds is
//! written before: a claim begins as many of its jobs as there are free workers that no earlier job waits
//! for, and jobs that were claimed before begin in batches: while one batch is being written, the next one
//! gathers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue_load::QueueLoad;
use super::store::ClaimSize;
use crate::kernel::time::millis;

/// Jobs of one claim.
const BATCH_MAX: usize = 1_000;
/// Claims that are under way at a time while full batches follow each other: the server works on one while
/// the node reads the rows of the other.
const CLAIMS_MAX: usize = 2;
/// Full batches that follow each other faster than this widen the window.
const FAST: Duration = millis(200);
/// Full batches that follow each other slower than this narrow the window, which holds what is used up in
/// that time at most. So the last job of a full window waits for less than twice as long.
const SLOW: Duration = millis(700);
/// A claimed job that has not begun by then is given back.
pub(super) const GIVE_BACK_AFTER: Duration = millis(1_500);

/// Jobs that a worker is given beyond the first one.
const BEHIND_MAX: usize = 24;

/// The statement to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClaimStep {
    /// Claim jobs of a queue, and begin the first ones of them.
    Claim { queue: Arc<str>, size: ClaimSize },
    /// Make the scheduled jobs ready whose time has come, and learn when the next one is due.
    Promote,
}

/// What a planner plans for.
pub(super) struct PlannerLimits<T> {
    pub(super) workers: usize,
    /// Workers that are kept for queues that run nothing.
    pub(super) kept_max: usize,
    pub(super) prefetch_max: usize,
    /// Bytes of arguments of a claim, and of the jobs that are claimed ahead.
    pub(super) prefetch_bytes_max: usize,
    /// The queue of a claimed job.
    pub(super) queue_of: fn(&T) -> &Arc<str>,
    /// The size of its arguments.
    pub(super) bytes_of: fn(&T) -> usize,
    /// Whether a limit by key admits it, one after the other.
    pub(super) is_keyed: fn(&T) -> bool,
    /// Whether its begin is to be written before it is assigned.
    pub(super) needs_begin: fn(&T) -> bool,
}

/// Plans the claims of one node. `T` is a claimed job.
pub(super) struct ClaimPlanner<T> {
    limits: PlannerLimits<T>,
    /// The workers as the queues have taken them. A job has a worker from its assignment, or from the begin
    /// that is written, on. Free are those that no queue has, whether they have reported or not.
    load: QueueLoad,
    /// How many jobs the node may hold beyond its workers, at the present pace.
    window: usize,
    /// Jobs of one claim: fewer than `BATCH_MAX` after a claim that its bytes have ended, since the server
    /// reads the arguments of jobs beyond them in vain.
    batch_max: usize,
    /// Jobs that are claimed and have not begun, with the time of their claim; the oldest first.
    claimed: VecDeque<(T, Instant)>,
    /// Sums of `claimed`.
    claimed_sums: ClaimedSums,
    /// The jobs that are being begun by the statement that is under way: queue, and time of the claim.
    beginning: Vec<(Arc<str>, Instant)>,
    /// Jobs that have begun and wait to be assigned; a worker was free when the begin was sent.
    begun: VecDeque<T>,
    free_workers: BTreeSet<usize>,
    /// Workers that run a job, and its queue.
    busy_workers: HashMap<usize, Arc<str>>,
    /// Queues that may have work, in the order in which they are asked.
    pending_queues: VecDeque<Arc<str>>,
    /// A promotion is under way. Then there is no claim.
    promoting: bool,
    /// Claims that are under way, and how many jobs they may bring.
    claims: usize,
    claiming: usize,
    /// Queues whose last claim had jobs with a key. Two claims at a time take jobs in no certain order, so
    /// not from these.
    keyed_queues: BTreeSet<Arc<str>>,
    /// Jobs of full claims that ended while another one was under way.
    full_jobs: usize,
    /// Jobs that workers have taken since the last full claim.
    used: usize,
    /// Length of `claimed` after the last claim.
    claimed_before: usize,
    promotion: Promotion,
    /// When the last claim came back full.
    full_since: Option<Instant>,
}

/// What would otherwise be counted at each message.
#[derive(Default)]
struct ClaimedSums {
    bytes: usize,
    /// Jobs whose begin is to be written.
    to_begin: usize,
    by_queue: HashMap<Arc<str>, usize>,
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
    pub(super) fn new(limits: PlannerLimits<T>) -> Self {
        Self {
            load: QueueLoad::new(limits.workers, limits.kept_max),
            limits,
            window: 0,
            batch_max: BATCH_MAX,
            claimed: VecDeque::new(),
            claimed_sums: ClaimedSums::default(),
            beginning: Vec::new(),
            begun: VecDeque::new(),
            free_workers: BTreeSet::new(),
            busy_workers: HashMap::new(),
            pending_queues: VecDeque::new(),
            promoting: false,
            claims: 0,
            claiming: 0,
            keyed_queues: BTreeSet::new(),
            full_jobs: 0,
            used: 0,
            claimed_before: 0,
            promotion: Promotion::No,
            full_since: None,
        }
    }

    /// Sets how many queues the node serves.
    pub(super) fn serve(&mut self, queues: usize) {
        self.load.serve(queues);
    }

    /// Notes that there may be work in these queues.
    pub(super) fn wake<'a>(&mut self, queues: impl IntoIterator<Item = &'a Arc<str>>) {
        for queue in queues {
            self.ask_again(queue);
        }
    }

    /// Notes that there may be work in this queue.
    pub(super) fn ask_again(&mut self, queue: &Arc<str>) {
        if !self.pending_queues.contains(queue) {
            self.pending_queues.push_back(Arc::clone(queue));
        }
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
        if let Some(queue) = self.busy_workers.remove(&worker) {
            self.load.release(&queue);
        }
        self.free_workers.insert(worker);
    }

    /// A free worker and the job that it is to run, while there are both.
    pub(super) fn assign(&mut self) -> Option<(usize, T)> {
        if let Some(job) = self.begun.pop_front() {
            let Some(worker) = self.free_workers.pop_first() else {
                self.begun.push_front(job);
                return None;
            };
            self.busy_workers.insert(worker, Arc::clone((self.limits.queue_of)(&job)));
            return Some((worker, job));
        }
        if self.reported() == 0 {
            return None;
        }
        let (load, limits) = (&mut self.load, &self.limits);
        let may_start =
            |(job, _): &(T, Instant)| !(limits.needs_begin)(job) && load.take((limits.queue_of)(job));
        let at = self.claimed.iter().position(may_start)?;
        let (job, _) = self.remove_claimed(at)?;
        let worker = self.free_workers.pop_first()?;
        self.busy_workers.insert(worker, Arc::clone((self.limits.queue_of)(&job)));
        Some((worker, job))
    }

    /// Further jobs for a worker that has just got a job of `queue`: it runs them one after the other, as
    /// long as they are short. None while each claimed job can have a worker of its own.
    pub(super) fn assign_behind(&mut self, queue: &str) -> Vec<T> {
        let count = (self.claimed.len() / self.limits.workers.max(1)).min(BEHIND_MAX);
        let mut behind = Vec::new();
        while behind.len() < count
            && let Some((job, _)) = self.claimed.front()
            && !(self.limits.needs_begin)(job)
            && &**(self.limits.queue_of)(job) == queue
        {
            behind.extend(self.remove_claimed(0).map(|(job, _)| job));
        }
        behind
    }

    /// Free workers that have reported and that no begun or beginning job waits for.
    fn reported(&self) -> usize {
        self.free_workers.len().saturating_sub(self.begun.len() + self.beginning.len())
    }

    /// True when there is a job whose begin is to be written, and a worker that is free for it. One batch
    /// begins at a time.
    pub(super) fn can_begin(&self) -> bool {
        if !self.beginning.is_empty() || self.claimed_sums.to_begin == 0 || self.reported() == 0 {
            return false;
        }
        let open = |(job, _): &(T, Instant)| {
            (self.limits.needs_begin)(job) && self.load.open_to((self.limits.queue_of)(job)) > 0
        };
        self.claimed.iter().any(open)
    }

    /// The batch of jobs to begin now; it is answered with [`begun`](Self::begun) or
    /// [`begin_failed`](Self::begin_failed).
    pub(super) fn begin_batch(&mut self) -> Vec<T> {
        if !self.can_begin() {
            return Vec::new();
        }
        let count_max = self.reported();
        let (mut batch, mut at) = (Vec::new(), 0);
        while batch.len() < count_max
            && let Some((job, since)) = self.claimed.get(at)
        {
            let queue = Arc::clone((self.limits.queue_of)(job));
            let since = *since;
            if !(self.limits.needs_begin)(job) || !self.load.take(&queue) {
                at += 1;
                continue;
            }
            self.beginning.push((queue, since));
            batch.extend(self.remove_claimed(at).map(|(job, _)| job));
        }
        batch
    }

    fn push_claimed(&mut self, job: T, since: Instant) {
        self.count_claimed(&job, true);
        self.claimed.push_back((job, since));
    }

    fn remove_claimed(&mut self, at: usize) -> Option<(T, Instant)> {
        let (job, since) = self.claimed.remove(at)?;
        self.count_claimed(&job, false);
        Some((job, since))
    }

    /// Adds a job to the sums, or takes it from them.
    fn count_claimed(&mut self, job: &T, is_added: bool) {
        let count = |sum: &mut usize, by: usize| *sum = if is_added { *sum + by } else { *sum - by };
        let sums = &mut self.claimed_sums;
        count(&mut sums.bytes, (self.limits.bytes_of)(job));
        count(&mut sums.to_begin, usize::from((self.limits.needs_begin)(job)));
        let queue = (self.limits.queue_of)(job);
        match sums.by_queue.get_mut(queue) {
            Some(sum) => count(sum, 1),
            None => drop(sums.by_queue.insert(Arc::clone(queue), 1)),
        }
    }

    /// The batch is written: these jobs have begun. The other jobs of the batch were cancelled or taken over.
    pub(super) fn begun(&mut self, jobs: impl IntoIterator<Item = T>) {
        for (queue, _) in self.beginning.drain(..) {
            self.load.release(&queue);
        }
        self.push_begun(jobs);
    }

    fn push_begun(&mut self, jobs: impl IntoIterator<Item = T>) {
        for job in jobs {
            self.load.give((self.limits.queue_of)(&job));
            self.begun.push_back(job);
        }
    }

    /// The batch may be written or not: these jobs are begun again, which counts no second attempt.
    pub(super) fn begin_failed(&mut self, jobs: Vec<T>) {
        let beginning = std::mem::take(&mut self.beginning);
        for (job, (queue, since)) in jobs.into_iter().zip(beginning).rev() {
            self.load.release(&queue);
            self.count_claimed(&job, true);
            self.claimed.push_front((job, since));
        }
    }

    /// The statement to send now, when this node holds `held` jobs; it is answered with
    /// [`claimed`](Self::claimed), [`promoted`](Self::promoted) or [`failed`](Self::failed). A promotion is
    /// sent alone; claims are sent one at a time, and two while full batches follow each other.
    pub(super) fn next(&mut self, held: usize) -> Option<ClaimStep> {
        if self.promoting {
            return None;
        }
        let claim = if self.promotion == Promotion::Due { None } else { self.next_claim(held) };
        if let Some((queue, size)) = claim {
            self.claims += 1;
            self.claiming += size.limit;
            return Some(ClaimStep::Claim { queue, size });
        }
        if self.promotion == Promotion::No || self.claims > 0 {
            return None;
        }
        self.promotion = Promotion::No;
        self.promoting = true;
        Some(ClaimStep::Promote)
    }

    /// A claim from the first queue whose jobs could begin, or be claimed ahead.
    fn next_claim(&mut self, held: usize) -> Option<(Arc<str>, ClaimSize)> {
        let drains = self.full_since.is_some() && self.window > BATCH_MAX;
        if self.claims >= if drains { CLAIMS_MAX } else { 1 } {
            return None;
        }
        let held = held + self.claiming;
        let capacity = (self.limits.workers + self.window).saturating_sub(held).min(self.batch_max);
        if capacity == 0 || self.pending_queues.is_empty() {
            return None;
        }
        let waiting = self.claimed.len() + self.claiming;
        // A window that is still half full is not worth a round trip.
        let half_empty = waiting <= self.window / 2;
        let bytes_left = self.limits.prefetch_bytes_max.saturating_sub(self.claimed_sums.bytes);
        let ahead = if half_empty && bytes_left > 0 { self.window.saturating_sub(waiting) } else { 0 };
        if self.claims > 0 {
            // The first claim has the free workers, and may have all the bytes that are left.
            let limit = ahead.min(capacity);
            let size = ClaimSize { limit, begin: 0, bytes_max: (bytes_left / CLAIMS_MAX).max(1) };
            let at = self.pending_queues.iter().position(|queue| !self.keyed_queues.contains(queue))?;
            let queue = (limit > 0).then(|| self.pending_queues.remove(at)).flatten()?;
            return Some((queue, size));
        }
        // The workers that are left when every claimed job that may begin has one.
        let mut load = self.load.clone();
        let mut taken = 0;
        for (queue, count) in &self.claimed_sums.by_queue {
            taken += (0..*count).take_while(|_| load.take(queue)).count();
        }
        let reported = self.reported().saturating_sub(taken);
        let (at, limit) = self.pending_queues.iter().enumerate().find_map(|(at, queue)| {
            let limit = (load.open_to(queue) + ahead).min(capacity);
            (limit > 0).then_some((at, limit))
        })?;
        let queue = self.pending_queues.remove(at)?;
        let begin = load.open_to(&queue).min(reported).min(limit);
        if drains && !self.keyed_queues.contains(&queue) {
            // A second claim may follow before this one has ended.
            self.ask_again(&queue);
        }
        let bytes_max = if drains { bytes_left / CLAIMS_MAX } else { bytes_left }.max(1);
        Some((queue, ClaimSize { limit, begin, bytes_max }))
    }

    /// A claim of this size returned these jobs, in the order in which they are to run; the first `begun` of
    /// them have begun.
    pub(super) fn claimed(
        &mut self,
        queue: Arc<str>,
        size: ClaimSize,
        mut jobs: Vec<T>,
        begun: usize,
        now: Instant,
    ) {
        self.claim_ended(size);
        match jobs.iter().any(self.limits.is_keyed) {
            true => self.keyed_queues.insert(Arc::clone(&queue)),
            false => self.keyed_queues.remove(&queue),
        };
        let count = jobs.len();
        let bytes: usize = jobs.iter().map(self.limits.bytes_of).sum();
        let cut = count < size.limit && bytes >= size.bytes_max;
        self.batch_max = if cut { count * 2 } else { self.batch_max * 2 }.clamp(1, BATCH_MAX);
        let full = cut || count >= size.limit;
        self.used += self.claimed_before.saturating_sub(self.claimed.len()) + begun;
        for job in jobs.split_off(begun.min(jobs.len())) {
            self.push_claimed(job, now);
        }
        self.claimed_before = self.claimed.len();
        self.push_begun(jobs);
        if !full {
            self.full_since = None;
            self.used = 0;
            return;
        }
        // The queue may have more jobs. It is asked again after the other queues.
        self.ask_again(&queue);
        if self.claims > 0 {
            // The pace is that of both together.
            self.full_jobs += count;
            return;
        }
        let count = count + std::mem::take(&mut self.full_jobs);
        if let Some(before) = self.full_since.replace(now) {
            let used = std::mem::take(&mut self.used);
            let took = now.saturating_duration_since(before);
            // Claims that only fill the window follow each other fast as well: then workers have taken less.
            if took < FAST && 2 * used >= count {
                let used_up = used.saturating_mul((SLOW.as_micros() / took.as_micros().max(1)) as usize);
                let wider = (self.window * 2).max(self.limits.workers).min(used_up);
                self.window = wider.max(self.window).min(self.limits.prefetch_max);
            } else if took > SLOW {
                self.window /= 2;
            }
        }
    }

    /// When the oldest claimed job that has not begun was claimed.
    pub(super) fn oldest_claim(&self) -> Option<Instant> {
        self.claimed.front().map(|(_, since)| *since)
    }

    /// Takes out the jobs that were claimed before `before` and have not begun. From then on no job is
    /// claimed ahead, until short ones are used up again.
    pub(super) fn give_back(&mut self, before: Instant) -> Vec<T> {
        let mut given_back = Vec::new();
        while self.claimed.front().is_some_and(|(_, since)| *since <= before)
            && let Some((job, _)) = self.remove_claimed(0)
        {
            let queue = Arc::clone((self.limits.queue_of)(&job));
            self.ask_again(&queue);
            given_back.push(job);
        }
        if !given_back.is_empty() {
            self.window = 0;
            self.full_since = None;
        }
        given_back
    }

    /// A promotion made jobs of these queues ready.
    pub(super) fn promoted<'a>(&mut self, queues: impl IntoIterator<Item = &'a Arc<str>>) {
        self.promoting = false;
        self.wake(queues);
    }

    /// The statement failed; it is planned again.
    pub(super) fn failed(&mut self, step: ClaimStep) {
        match step {
            ClaimStep::Claim { queue, size } => {
                self.claim_ended(size);
                self.ask_again(&queue);
            }
            ClaimStep::Promote => {
                self.promoting = false;
                self.promotion_due();
            }
        }
    }

    fn claim_ended(&mut self, size: ClaimSize) {
        self.claims -= 1;
        self.claiming -= size.limit;
    }

    /// Takes out all jobs that no worker has.
    pub(super) fn take_unassigned(&mut self) -> impl Iterator<Item = T> + '_ {
        for job in &self.begun {
            self.load.release((self.limits.queue_of)(job));
        }
        self.claimed_sums = ClaimedSums::default();
        self.begun.drain(..).chain(self.claimed.drain(..).map(|(job, _)| job))
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> usize {
        self.window
    }
}
