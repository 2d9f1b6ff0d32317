//! The claimer: keeps the local queue filled, has jobs begin and hands them to free workers. What it does
//! next is decided by [`Desk`].
//!
//! Statements run in tasks beside the actor, so that hints and free workers are heard while one is under way:
//! one that asks for jobs, and one that writes begins. A hint that comes while its queue is being asked makes
//! it ask again. Free workers share a statement with those whose jobs end in the same turn of the scheduler,
//! and with those that come while the one before is under way: a lone one waits for nobody, and the busier
//! the node, the larger the batches.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use tokio::sync::oneshot;

use super::desk::{Desk, Step};
use super::held::Ticket;
use super::messages::Room;
use super::store::{Begun, Claim, Job, Promoted};
use super::worker::WorkerMessage;
use crate::change::TopicKind;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, Address, CastError, ChildSpec, Context, Timer};

/// Between two attempts to ask a database that does not answer.
const AWAY_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(5));

/// How long a claimer that stops waits for what it asked last.
const ANSWER_PATIENCE: Duration = secs(2);

/// Messages of the claimer.
#[derive(forge_app_macros::Message)]
pub(super) enum ClaimerMessage {
    /// These queues got work; only those that this node serves are looked at.
    Woken { queues: BTreeSet<Arc<str>> },
    /// Time to look without having been woken.
    Poll,
    /// Time to ask again after a failure.
    Resume,
    /// A worker is free.
    Idle { worker: usize },
    /// Ends were written, so that more may be held; some of those jobs are `scheduled` for another time.
    Settled { scheduled: bool },
    /// The sweeper found jobs of ours in these queues.
    Found { queues: BTreeSet<Arc<str>> },
    /// The answer to what was asked last is there.
    Answered,
    /// Who became free in this turn of the scheduler has said so: time to begin.
    Begin,
    /// The answer about begins is there.
    Began,
}

/// What a question brought. It waits in a channel and not in the mailbox, so that a claimer that stops still
/// gets it.
struct Answer {
    step: Step,
    asked: Instant,
    reply: Result<Reply, Fault>,
}

enum Reply {
    Claimed(Vec<Job>),
    Promoted(Promoted),
}

/// What became of a batch that was to begin.
struct Begins {
    tickets: Vec<Ticket>,
    asked: Instant,
    reply: Result<Vec<Begun>, Fault>,
}

pub(super) struct Claimer {
    room: Arc<Room>,
    workers: Arc<[Address<WorkerMessage>]>,
}

pub(super) struct State {
    desk: Desk<Ticket>,
    queues: BTreeSet<Arc<str>>,
    /// The answer that is under way.
    answer: Option<oneshot::Receiver<Answer>>,
    /// `Begin` is on its way.
    gathering: bool,
    /// The begins that are under way.
    begins: Option<oneshot::Receiver<Begins>>,
    /// Failures since the last success.
    failures: u32,
    /// After a failure, until `Resume`.
    paused: bool,
    _poll: Timer,
    /// The next scheduled job, when it comes before the next poll.
    _due: Option<Timer>,
    /// The end of a pause.
    _resume: Option<Timer>,
}

impl Claimer {
    pub(super) fn spec(
        room: Arc<Room>,
        workers: Arc<[Address<WorkerMessage>]>,
    ) -> (ChildSpec, Address<ClaimerMessage>) {
        ChildSpec::actor("claimer", move || Self { room: Arc::clone(&room), workers: Arc::clone(&workers) })
    }

    /// Hands out what is there, and asks for more.
    fn proceed(&self, cx: &Context<ClaimerMessage>, state: &mut State) {
        while let Some((worker, ticket)) = state.desk.assign() {
            self.room.desks[worker].put(|desk| desk.get_or_insert_default().push_back(ticket));
            // It only wakes: a worker that is not running looks when it starts, and once more when it stops.
            let _: Result<(), CastError> = self.workers[worker].cast(WorkerMessage::Run);
        }
        if state.paused {
            return;
        }
        if !state.gathering && state.desk.can_begin() {
            state.gathering = true;
            let claimer = cx.address();
            cx.spawn("gather", async move {
                // Without it the first worker of a batch that ends would be a batch of its own.
                tokio::task::yield_now().await;
                let _: Result<(), CastError> = claimer.cast(ClaimerMessage::Begin);
            });
        }
        if let Some(step) = state.desk.next(self.room.held.len()) {
            state.answer = Some(self.ask(cx, step));
        }
    }

    fn ask(&self, cx: &Context<ClaimerMessage>, step: Step) -> oneshot::Receiver<Answer> {
        let (room, claimer) = (Arc::clone(&self.room), cx.address());
        let (sender, answer) = oneshot::channel();
        cx.spawn("ask", async move {
            let asked = Instant::now();
            let reply = match &step {
                Step::Claim { queue, limit, begin } => room
                    .store
                    .claim(queue, &room.names, *limit, *begin, room.node, room.config.lease)
                    .await
                    .map(Reply::Claimed),
                Step::Promote => room.store.promote().await.map(Reply::Promoted),
            };
            // A claimer that is gone wants neither; what was claimed for it is claimed again when its lease
            // has run out.
            let _: Result<(), Answer> = sender.send(Answer { step, asked, reply });
            let _: Result<(), CastError> = claimer.cast(ClaimerMessage::Answered);
        });
        answer
    }

    fn begin(&self, cx: &Context<ClaimerMessage>, state: &mut State) {
        state.gathering = false;
        let tickets = if state.paused { Vec::new() } else { state.desk.begin() };
        if tickets.is_empty() {
            return;
        }
        let (room, claimer) = (Arc::clone(&self.room), cx.address());
        let (sender, begins) = oneshot::channel();
        cx.spawn("begin", async move {
            let (claims, asked): (Vec<Claim>, _) =
                (tickets.iter().map(Ticket::claim).collect(), Instant::now());
            let reply = room.store.begin(&claims, room.config.lease).await;
            // A claimer that is gone took its workers' jobs along: they are claimed again when their leases
            // have run out.
            let _: Result<(), Begins> = sender.send(Begins { tickets, asked, reply });
            let _: Result<(), CastError> = claimer.cast(ClaimerMessage::Began);
        });
        state.begins = Some(begins);
    }

    fn began(&self, cx: &Context<ClaimerMessage>, state: &mut State) {
        let Some(Ok(Begins { tickets, asked, reply })) =
            state.begins.take().map(|mut begins| begins.try_recv())
        else {
            return;
        };
        match reply {
            Ok(begun) => {
                state.desk.began(self.confirmed(tickets, asked, &begun));
                Self::recovered(state);
            }
            Err(fault) => {
                state.desk.not_begun(tickets);
                Self::pause(cx, state, &fault);
            }
        }
    }

    /// Those of `tickets` whose begin is written.
    fn confirmed(&self, tickets: Vec<Ticket>, asked: Instant, begun: &[Begun]) -> Vec<Ticket> {
        let begun: HashMap<JobId, &Begun> = begun.iter().map(|begun| (begun.job, begun)).collect();
        let confirmed = tickets.into_iter().filter_map(|mut ticket| {
            let Some(begun) = begun.get(&ticket.job.id) else {
                tracing::info!(job = %ticket.job.id, name = %ticket.job.name, "not begun: it was cancelled, or another node took it over");
                return None;
            };
            ticket.begun(begun, asked, self.room.config.lease);
            Some(ticket)
        });
        confirmed.collect()
    }

    fn wake(state: &mut State, queues: &BTreeSet<Arc<str>>) {
        let State { desk, queues: served, .. } = state;
        desk.wake(queues.intersection(served));
    }

    fn poll(&self, cx: &Context<ClaimerMessage>, state: &mut State) {
        let State { desk, queues, .. } = state;
        desk.wake(queues.iter());
        desk.due();
        state._poll = cx.send_after(self.room.config.poll_interval, ClaimerMessage::Poll);
    }

    fn serve(&self, state: &mut State, queues: BTreeSet<Arc<str>>) {
        let before = state.queues.len();
        state.desk.wake(&queues);
        state.queues.extend(queues);
        if state.queues.len() != before {
            let served = state.queues.iter().map(Arc::clone).collect();
            self.room.hints.set_interest(TopicKind::Queues, served);
        }
    }

    fn answered(&self, cx: &Context<ClaimerMessage>, state: &mut State) {
        let Some(Ok(Answer { step, asked, reply })) = state.answer.take().map(|mut answer| answer.try_recv())
        else {
            return;
        };
        match (reply, step) {
            (Ok(Reply::Claimed(jobs)), Step::Claim { queue, limit, .. }) => {
                let begun = jobs.iter().take_while(|job| job.begun).count();
                let tickets =
                    jobs.into_iter().map(|job| self.room.held.admit(job, asked, self.room.config.lease));
                state.desk.claimed(queue, limit, tickets.collect(), begun, Instant::now());
            }
            (Ok(Reply::Promoted(promoted)), _) => {
                state.desk.promoted(promoted.queues.intersection(&state.queues));
                let soon = promoted.next_due.filter(|next| *next < self.room.config.poll_interval);
                state._due = soon.map(|next| cx.send_after(next, ClaimerMessage::Resume));
            }
            (Ok(Reply::Claimed(_)), Step::Promote) => unreachable!("each step has its own reply"),
            (Err(fault), step) => {
                state.desk.failed(step);
                return Self::pause(cx, state, &fault);
            }
        }
        Self::recovered(state);
    }

    fn pause(cx: &Context<ClaimerMessage>, state: &mut State, fault: &Fault) {
        if state.failures == 0 {
            tracing::warn!(?fault, "jobs can be neither claimed nor begun; trying again until they can");
        }
        state.paused = true;
        state._resume = Some(cx.send_after(AWAY_BACKOFF.jittered(state.failures), ClaimerMessage::Resume));
        state.failures = state.failures.saturating_add(1);
    }

    fn recovered(state: &mut State) {
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!("jobs are claimed and begun again");
        }
    }
}

impl Actor for Claimer {
    type Message = ClaimerMessage;
    type State = State;
    const KIND: &'static str = "claimer";

    async fn start(&self, cx: &Context<ClaimerMessage>) -> Result<State, ActorError> {
        self.room.drain.send_replace(None);
        let (hints, claimer) = (self.room.hints.subscribe(TopicKind::Queues), cx.address());
        cx.spawn("hints", async move {
            loop {
                let queues = hints.next().await.topics.queues().map(Arc::clone).collect();
                // A mailbox that is full wakes soon enough; a claimer that is gone took this task along.
                let _: Result<(), CastError> = claimer.cast(ClaimerMessage::Woken { queues });
            }
        });
        let desk = Desk::new(self.workers.len(), self.room.config.prefetch_max as usize);
        let poll = cx.send_after(Duration::ZERO, ClaimerMessage::Poll);
        let mut state = State {
            desk,
            queues: BTreeSet::new(),
            answer: None,
            gathering: false,
            begins: None,
            failures: 0,
            paused: false,
            _poll: poll,
            _due: None,
            _resume: None,
        };
        self.serve(&mut state, self.room.queues());
        for worker in self.workers.iter() {
            // One that is not running reports when it starts.
            let _: Result<(), CastError> = worker.cast(WorkerMessage::Report);
        }
        Ok(state)
    }

    async fn handle(
        &self,
        cx: &Context<ClaimerMessage>,
        message: ClaimerMessage,
        state: &mut State,
    ) -> Result<(), ActorError> {
        match message {
            ClaimerMessage::Woken { queues } => Self::wake(state, &queues),
            ClaimerMessage::Poll => self.poll(cx, state),
            ClaimerMessage::Resume => {
                state.desk.due();
                state.paused = false;
            }
            ClaimerMessage::Idle { worker } => state.desk.idle(worker),
            ClaimerMessage::Settled { scheduled: true } => state.desk.wake([]),
            ClaimerMessage::Settled { scheduled: false } => {}
            ClaimerMessage::Found { queues } => self.serve(state, queues),
            ClaimerMessage::Answered => self.answered(cx, state),
            ClaimerMessage::Begin => self.begin(cx, state),
            ClaimerMessage::Began => self.began(cx, state),
        }
        self.proceed(cx, state);
        Ok(())
    }

    /// What no worker has is handed back; what runs has until the drain is over.
    async fn stop(&self, _cx: &Context<ClaimerMessage>, state: &mut State) {
        self.room.drain.send_replace(Some(Instant::now() + self.room.config.drain_timeout));
        state.desk.surrender().for_each(|ticket| self.room.hand_back(ticket));
        let last = async {
            if let Some(Ok(begins)) = OptionFuture::from(state.begins.take()).await {
                begins.tickets.into_iter().for_each(|ticket| self.room.hand_back(ticket));
            }
            if let Some(Ok(Answer { asked, reply: Ok(Reply::Claimed(jobs)), .. })) =
                OptionFuture::from(state.answer.take()).await
            {
                jobs.into_iter().for_each(|job| {
                    self.room.hand_back(self.room.held.admit(job, asked, self.room.config.lease))
                });
            }
        };
        if tokio::time::timeout(ANSWER_PATIENCE, last).await.is_err() {
            tracing::info!(
                "what was asked last is not answered; its jobs are claimed again when their leases have run out"
            );
        }
    }
}
