//! The claimer: keeps the local queue filled, begins jobs and assigns them to free workers. What it does next
//! is decided by [`ClaimPlanner`].
//!
//! Statements run in tasks beside the actor, so that the actor handles hints and free workers meanwhile: one
//! statement promotes, or one or two claim, and one begins. A hint for a queue that is being claimed from has
//! the queue asked again.
//!
//! Jobs of several free workers begin in one statement: of the workers whose jobs end in the same turn of the
//! scheduler, and of those that become free while the statement before is under way. A lone worker therefore
//! waits for no other one, and the busier the node, the larger the batches.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::claims::claim;
use super::leases::ClaimedJob;
use super::messages::{ClaimerMessage, UnblockerMessage, WorkerMessage};
use super::paths::CLAIMER;
use super::planner::{ClaimPlanner, ClaimStep, GIVE_BACK_AFTER, PlannerLimits};
use super::poll_pace::{PollPace, PromotionPace};
use super::shared::JobShared;
use super::store::{BegunAttempt, Claim, JobRecord, Promoted};
use crate::change::{InterestOf, TopicKind};
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::{HalvedBatch, RefusedRow, write_by_halves};
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Timer};

/// Between two attempts to reach a database that does not answer.
const AWAY_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(5));

/// Queues that one node serves.
const QUEUES_MAX: usize = 1_000;

/// A claim that brought so many jobs, and emptied its queue, shows that jobs come in faster than claims can
/// be sent.
const GATHER_FROM: usize = 3;
/// How long the next jobs gather then: a claim costs the server and the node as much as dozens of jobs.
const GATHER: Duration = millis(3);

/// A promotion that took longer does not say that a lease has run out; the next one may.
const SLOW_PROMOTION: Duration = secs(2);

/// How long a claimer that stops waits for the statements that are under way.
const LAST_STATEMENT_WAIT: Duration = secs(2);

/// A claim or a promotion that has ended. It waits in a channel and not in the mailbox, so that a claimer
/// that stops still gets it.
struct StepResult {
    step: ClaimStep,
    sent: Instant,
    reply: Result<StepReply, Fault>,
}

enum StepReply {
    /// The jobs that are held now, and how many a limit has blocked.
    Claimed(Vec<JobRecord>, usize),
    Promoted(Promoted),
}

/// A begin that has ended.
struct BeginResult {
    jobs: Vec<ClaimedJob>,
    sent: Instant,
    reply: Result<HalvedBatch<Vec<BegunAttempt>>, Fault>,
}

pub(super) struct Claimer {
    shared: Arc<JobShared>,
}

pub(super) struct ClaimerState {
    planner: ClaimPlanner<ClaimedJob>,
    /// The queues that this node serves.
    queues: BTreeSet<Arc<str>>,
    /// The claims, or the promotion, that are under way.
    steps: VecDeque<oneshot::Receiver<StepResult>>,
    /// [`ClaimerMessage::Begin`] is on its way.
    begin_scheduled: bool,
    /// The begin that is under way.
    begin: Option<oneshot::Receiver<BeginResult>>,
    /// Failures since the last success.
    failures: u32,
    has_too_many_queues: bool,
    /// True after a failure, until `PauseEnded`.
    paused: bool,
    pace: PollPace,
    /// Between the last poll and the next one.
    poll_every: Duration,
    _poll: Timer,
    /// The next scheduled job, when it is due before the next poll.
    _due: Option<Timer>,
    promotion_pace: PromotionPace,
    /// The rest of the pause between two promotions, while one waits for it.
    promotion_pause: Option<Timer>,
    /// The end of a pause.
    _pause: Option<Timer>,
    /// When the oldest claimed job is given back, unless it has begun by then.
    give_back: Option<Timer>,
    /// While the jobs of the next claim gather.
    gather: Option<Timer>,
}

impl Claimer {
    pub(super) fn spec(shared: Arc<JobShared>, mailbox: Mailbox<ClaimerMessage>) -> ChildSpec {
        ChildSpec::with_mailbox(CLAIMER.id(), mailbox, move || Self { shared: Arc::clone(&shared) })
    }

    /// Assigns jobs to free workers, and sends the statements that the planner asks for.
    fn proceed(&self, cx: &Context<ClaimerMessage>, state: &mut ClaimerState) {
        while let Some((worker, job)) = state.planner.assign() {
            let worker = &self.shared.workers[worker];
            let queue = &job.record.queue;
            let behind = if job.record.begun { Vec::new() } else { state.planner.assign_behind(queue) };
            worker.assigned.put(|assigned| {
                let assigned = assigned.get_or_insert_default();
                assigned.push_back(job);
                assigned.extend(behind);
            });
            // The message is only a wake-up. A worker that is not running takes its assigned jobs when it
            // starts, and one that stops returns them.
            worker.address.notify(WorkerMessage::Run);
        }
        if state.give_back.is_none()
            && let Some(claimed) = state.planner.oldest_claim()
        {
            let wait = GIVE_BACK_AFTER.saturating_sub(claimed.elapsed());
            state.give_back = Some(cx.send_after(wait, ClaimerMessage::GiveBack));
        }
        if state.paused {
            return;
        }
        if !state.begin_scheduled && state.planner.can_begin() {
            state.begin_scheduled = true;
            cx.spawn_message("schedule_begin", async {
                // Workers whose jobs end in this turn of the scheduler report before the batch is taken.
                tokio::task::yield_now().await;
                ClaimerMessage::Begin
            });
        }
        if state.gather.is_some() {
            return;
        }
        while let Some(step) = state.planner.next(self.shared.leases.len()) {
            if step == ClaimStep::Promote {
                state.promotion_pace.sent(Instant::now());
            }
            state.steps.push_back(self.send_step(cx, step));
        }
    }

    fn limits(&self) -> PlannerLimits<ClaimedJob> {
        let config = &self.shared.config;
        PlannerLimits {
            workers: self.shared.workers.len(),
            kept_max: config.kept_workers(),
            prefetch_max: config.prefetch_max as usize,
            prefetch_bytes_max: config.prefetch_bytes_max,
            queue_of: |job| &job.record.queue,
            bytes_of: |job| job.record.args.len(),
            is_keyed: |job| job.record.concurrency_key.is_some() || job.record.rate_key.is_some(),
            needs_begin: ClaimedJob::needs_begin,
        }
    }

    /// Returns the jobs that have waited for a worker for too long. An idle node may take them.
    fn give_back(&self, state: &mut ClaimerState) {
        state.give_back = None;
        let Some(before) = Instant::now().checked_sub(GIVE_BACK_AFTER) else { return };
        let jobs = state.planner.give_back(before);
        if !jobs.is_empty() {
            tracing::debug!(jobs = jobs.len(), "claimed jobs given back: no worker became free for them");
        }
        jobs.into_iter().for_each(|job| self.shared.return_job(job));
    }

    fn send_step(&self, cx: &Context<ClaimerMessage>, step: ClaimStep) -> oneshot::Receiver<StepResult> {
        let shared = Arc::clone(&self.shared);
        let (sender, receiver) = oneshot::channel();
        cx.spawn_message("claim", async move {
            let sent = Instant::now();
            let reply = match &step {
                ClaimStep::Claim { queue, size } => {
                    let claimed = claim(&shared, queue, *size).await;
                    claimed.map(|(records, blocked)| StepReply::Claimed(records, blocked))
                }
                ClaimStep::Promote => shared.store.promote().await.map(StepReply::Promoted),
            };
            // Fails when the claimer is gone. The leases of what was claimed for it run out, and the jobs are
            // claimed again.
            let _: Result<(), StepResult> = sender.send(StepResult { step, sent, reply });
            ClaimerMessage::ClaimEnded
        });
        receiver
    }

    fn begin(&self, cx: &Context<ClaimerMessage>, state: &mut ClaimerState) {
        state.begin_scheduled = false;
        let jobs = if state.paused { Vec::new() } else { state.planner.begin_batch() };
        if jobs.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let (sender, receiver) = oneshot::channel();
        cx.spawn_message("begin", async move {
            let claims: Vec<Claim> = jobs.iter().map(ClaimedJob::claim).collect();
            let sent = Instant::now();
            let lease = shared.config.lease;
            let reply = write_by_halves(claims.len(), |part| shared.store.begin(&claims[part], lease)).await;
            // Fails when the claimer is gone. The leases of these jobs run out, and they are claimed again.
            let _: Result<(), BeginResult> = sender.send(BeginResult { jobs, sent, reply });
            ClaimerMessage::BeginEnded
        });
        state.begin = Some(receiver);
    }

    fn begin_ended(&self, cx: &Context<ClaimerMessage>, state: &mut ClaimerState) {
        let received = state.begin.take().map(|mut begin| begin.try_recv());
        let Some(Ok(BeginResult { mut jobs, sent, reply })) = received else {
            return;
        };
        match reply {
            Ok(HalvedBatch { written, refused }) => {
                for RefusedRow { row, fault } in refused.into_iter().rev() {
                    self.shared.set_aside(jobs.remove(row), &fault);
                }
                let begun: Vec<BegunAttempt> = written.into_iter().flatten().collect();
                state.planner.begun(self.confirmed(jobs, sent, &begun));
                Self::recovered(state);
            }
            Err(fault) => {
                state.planner.begin_failed(jobs);
                Self::pause(cx, state, "begin", &fault);
            }
        }
    }

    /// Those of `jobs` that have begun.
    fn confirmed(&self, jobs: Vec<ClaimedJob>, sent: Instant, begun: &[BegunAttempt]) -> Vec<ClaimedJob> {
        let begun: HashMap<JobId, &BegunAttempt> = begun.iter().map(|begun| (begun.job, begun)).collect();
        let confirmed = jobs.into_iter().filter_map(|mut job| {
            let Some(begun) = begun.get(&job.record.id) else {
                tracing::info!(
                    job = %job.record.id,
                    handler = %job.record.name,
                    "job not begun: it was cancelled, or another node took it over"
                );
                return None;
            };
            job.apply_begin(begun, sent, self.shared.config.lease);
            Some(job)
        });
        confirmed.collect()
    }

    fn queues_woken(cx: &Context<ClaimerMessage>, state: &mut ClaimerState, woken: &BTreeSet<Arc<str>>) {
        let ClaimerState { planner, queues, .. } = state;
        planner.wake(woken.intersection(queues));
        Self::want_promotion(cx, state);
    }

    /// Scheduled jobs may have been written, whose time the next promotion learns.
    fn want_promotion(cx: &Context<ClaimerMessage>, state: &mut ClaimerState) {
        let pause = state.promotion_pace.pause(Instant::now());
        if pause.is_zero() {
            state.planner.promotion_wanted();
        } else if state.promotion_pause.is_none() {
            state.promotion_pause = Some(cx.send_after(pause, ClaimerMessage::PromotionWanted));
        }
    }

    fn promotion_wanted(state: &mut ClaimerState) {
        state.promotion_pause = None;
        state.planner.promotion_wanted();
    }

    fn poll(&self, cx: &Context<ClaimerMessage>, state: &mut ClaimerState) {
        // A promotion finds the queues that have work.
        state.planner.promotion_due();
        state.poll_every = state.pace.next();
        state._poll = cx.send_after(state.poll_every, ClaimerMessage::Poll);
    }

    /// Adds queues to those that this node serves, and asks them for work.
    fn serve(&self, state: &mut ClaimerState, queues: &BTreeSet<Arc<str>>) {
        self.add_queues(state, queues);
        state.planner.wake(queues);
    }

    /// Adds queues to those that this node serves. Queues beyond the limit are not served, until the node
    /// starts again.
    fn add_queues(&self, state: &mut ClaimerState, queues: &BTreeSet<Arc<str>>) {
        let before = state.queues.len();
        for queue in queues {
            if state.queues.len() >= QUEUES_MAX && !state.queues.contains(queue) {
                if !std::mem::replace(&mut state.has_too_many_queues, true) {
                    tracing::error!(%queue, max = QUEUES_MAX, "queue not served: there are too many");
                }
                continue;
            }
            state.queues.insert(Arc::clone(queue));
        }
        if state.queues.len() != before {
            state.planner.serve(state.queues.len());
            let served = state.queues.iter().map(Arc::clone).collect();
            self.shared.hints.set_interest(InterestOf::Claims, served);
        }
    }

    fn claim_ended(&self, cx: &Context<ClaimerMessage>, state: &mut ClaimerState) {
        // In the order in which they were sent: as a rule the first one has the earlier jobs.
        while let Some(step) = state.steps.front_mut() {
            let received = step.try_recv();
            if received.as_ref().is_err_and(|error| *error == TryRecvError::Empty) {
                return;
            }
            state.steps.pop_front();
            if let Ok(result) = received {
                self.step_ended(cx, state, result);
            }
        }
    }

    fn step_ended(&self, cx: &Context<ClaimerMessage>, state: &mut ClaimerState, result: StepResult) {
        let StepResult { step, sent, reply } = result;
        match (reply, step) {
            (Ok(StepReply::Claimed(records, blocked)), ClaimStep::Claim { queue, size }) => {
                let lease = self.shared.config.lease;
                let insert = |record| self.shared.hold(record, sent, lease);
                let (mut jobs, waiting): (Vec<_>, Vec<_>) =
                    records.into_iter().map(insert).partition(|job| job.record.begun);
                let begun = jobs.len();
                jobs.extend(waiting);
                if (GATHER_FROM..size.limit).contains(&jobs.len()) {
                    state.gather = Some(cx.send_after(GATHER, ClaimerMessage::Gathered));
                }
                state.planner.claimed(Arc::clone(&queue), size, jobs, begun, Instant::now());
                if blocked > 0 {
                    // What was blocked has left the queue, and others may wait behind it.
                    state.planner.ask_again(&queue);
                }
            }
            (Ok(StepReply::Promoted(promoted)), _) => {
                state.pace.polled(!promoted.is_empty());
                let took = sent.elapsed();
                state.promotion_pace.ended(Instant::now(), took);
                self.add_queues(state, &promoted.waiting);
                let with_work = promoted.queues.union(&promoted.waiting);
                state.planner.promoted(with_work.filter(|queue| state.queues.contains(*queue)));
                // One that took so long has met an outage, in which no node could renew its leases.
                if promoted.has_expired && took < SLOW_PROMOTION {
                    self.shared.has_expired.store(true, Ordering::Release);
                }
                if promoted.has_blocked {
                    self.shared.unblocker.notify(UnblockerMessage::Sweep);
                }
                let soon = promoted.next_due.filter(|next| *next < state.poll_every);
                state._due = soon.map(|next| cx.send_after(next, ClaimerMessage::PromotionDue));
            }
            (Ok(StepReply::Claimed(..)), ClaimStep::Promote) => unreachable!("each step has its own reply"),
            (Err(fault), step) => {
                let name = match step {
                    ClaimStep::Claim { .. } => "claim",
                    ClaimStep::Promote => "promote",
                };
                state.planner.failed(step);
                return Self::pause(cx, state, name, &fault);
            }
        }
        Self::recovered(state);
    }

    /// Sends no statement for a while, because the statement `step` failed.
    fn pause(cx: &Context<ClaimerMessage>, state: &mut ClaimerState, step: &'static str, fault: &Fault) {
        if state.failures == 0 {
            tracing::warn!(step, error = error_chain(fault), "job statement failed; retrying");
        }
        state.paused = true;
        let pause = AWAY_BACKOFF.jittered(state.failures);
        state._pause = Some(cx.send_after(pause, ClaimerMessage::PauseEnded));
        state.failures = state.failures.saturating_add(1);
    }

    fn recovered(state: &mut ClaimerState) {
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!("job statements recovered");
        }
    }
}

impl Actor for Claimer {
    type Message = ClaimerMessage;
    type State = ClaimerState;
    const KIND: &'static str = "claimer";

    async fn start(&self, cx: &Context<ClaimerMessage>) -> Result<ClaimerState, ActorError> {
        self.shared.drain.send_replace(None);
        let hints = self.shared.hints.subscribe(TopicKind::Queues);
        let claimer = cx.address();
        cx.spawn("hints", async move {
            loop {
                let queues = hints.next().await.topics.queues().map(Arc::clone).collect();
                claimer.notify(ClaimerMessage::QueuesWoken { queues });
            }
        });
        let workers = &self.shared.workers;
        let mut state = ClaimerState {
            planner: ClaimPlanner::new(self.limits()),
            queues: BTreeSet::new(),
            steps: VecDeque::new(),
            begin_scheduled: false,
            begin: None,
            failures: 0,
            has_too_many_queues: false,
            paused: false,
            pace: PollPace::new(self.shared.config.poll_interval),
            poll_every: self.shared.config.poll_interval,
            _poll: cx.send_after(Duration::ZERO, ClaimerMessage::Poll),
            _due: None,
            promotion_pace: PromotionPace::default(),
            promotion_pause: None,
            _pause: None,
            give_back: None,
            gather: None,
        };
        self.serve(&mut state, &self.shared.queues());
        for worker in workers {
            // A worker that is not running reports when it starts.
            worker.address.notify(WorkerMessage::Report);
        }
        Ok(state)
    }

    async fn handle(
        &self,
        cx: &Context<ClaimerMessage>,
        message: ClaimerMessage,
        state: &mut ClaimerState,
    ) -> Result<(), ActorError> {
        match message {
            ClaimerMessage::QueuesWoken { queues } => Self::queues_woken(cx, state, &queues),
            ClaimerMessage::Poll => self.poll(cx, state),
            ClaimerMessage::PauseEnded => state.paused = false,
            ClaimerMessage::PromotionDue => state.planner.promotion_due(),
            ClaimerMessage::WorkerFree { worker } => state.planner.worker_free(worker),
            ClaimerMessage::ResultsWritten { scheduled: true } => Self::want_promotion(cx, state),
            ClaimerMessage::PromotionWanted => Self::promotion_wanted(state),
            ClaimerMessage::ResultsWritten { scheduled: false } => {}
            ClaimerMessage::QueuesFound { queues } => self.serve(state, &queues),
            ClaimerMessage::ClaimEnded => self.claim_ended(cx, state),
            ClaimerMessage::Begin => self.begin(cx, state),
            ClaimerMessage::BeginEnded => self.begin_ended(cx, state),
            ClaimerMessage::GiveBack => self.give_back(state),
            ClaimerMessage::Gathered => state.gather = None,
        }
        self.proceed(cx, state);
        Ok(())
    }

    /// Returns the jobs that no worker has, and starts the drain of those that run.
    async fn stop(&self, _cx: &Context<ClaimerMessage>, state: &mut ClaimerState) {
        let shared = &self.shared;
        shared.drain.send_replace(Some(Instant::now() + shared.config.drain_timeout));
        state.planner.take_unassigned().for_each(|job| shared.return_job(job));
        let last = async {
            if let Some(Ok(begin)) = OptionFuture::from(state.begin.take()).await {
                begin.jobs.into_iter().for_each(|job| shared.return_job(job));
            }
            for step in state.steps.drain(..) {
                let Ok(StepResult { sent, reply: Ok(StepReply::Claimed(records, _)), .. }) = step.await
                else {
                    continue;
                };
                for record in records {
                    shared.return_job(shared.hold(record, sent, shared.config.lease));
                }
            }
        };
        if tokio::time::timeout(LAST_STATEMENT_WAIT, last).await.is_err() {
            tracing::info!(
                "the last claim is not answered; its jobs are claimed again when their leases have run out"
            );
        }
    }
}
