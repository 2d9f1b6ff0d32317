//! What an actor is, what it sees of its surroundings, and the host that runs it on ractor.
//!
//! The host adds to a plain ractor actor: panics and errors become recorded crashes, counters for the tree,
//! an address, and owned tasks. It drops the actor's state before it reports the end, since ractor hands a
//! stopped actor's state to the supervisor's mailbox, where a bound socket or a locked file would outlive the
//! start of the successor.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor::{ActorCell, ActorProcessingErr, ActorRef};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use super::address::{Address, CastError, Incarnation, Slot};
use super::journal::Crash;
use super::launch::{Launch, Launched, StartCut, StartError};
use super::panic::{Panic, catch_pinned, catch_unwind};
use super::tree::{Entry, Meter, Tree};

/// Any error. An `Err` from [`Actor::handle`] means "restart me".
pub type ActorError = Box<dyn Error + Send + Sync>;

/// Time for the tasks of an actor that ends to reach an await point.
const TASKS_END_DEADLINE: Duration = Duration::from_secs(1);

/// Shortest interval of a repeating timer.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// What an actor receives: an enum whose variants have names. Derived by `#[derive(Message)]`.
pub trait Message: Send + 'static {
    /// Names of the variants, in order of [`index`](Self::index).
    const NAMES: &'static [&'static str];

    /// Position of this variant in [`NAMES`](Self::NAMES).
    fn index(&self) -> usize;
}

/// A supervised actor. `self` is configuration, `State` is what changes; a restart makes both anew.
pub trait Actor: Send + Sync + 'static {
    /// What it receives.
    type Message: Message;
    /// What it changes.
    type State: Send + 'static;
    /// What it is, for people.
    const KIND: &'static str;
    /// Messages that may wait; one more is refused with `Full`.
    const MAILBOX_MAX: usize = 10_000;

    /// Makes the state. The supervisor waits for it before it starts the next sibling, so a long connect
    /// belongs into a first message. An error fails the boot, or counts as a crash on a restart.
    fn start(
        &self,
        cx: &Context<Self::Message>,
    ) -> impl Future<Output = Result<Self::State, ActorError>> + Send;

    /// Handles one message. Expected outcomes are replies; an error ends this incarnation as a crash.
    fn handle(
        &self,
        cx: &Context<Self::Message>,
        message: Self::Message,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<(), ActorError>> + Send;

    /// Says goodbye: runs when the actor is stopped, not after a crash or a kill. The stop deadline includes
    /// it.
    fn stop(&self, cx: &Context<Self::Message>, state: &mut Self::State) -> impl Future<Output = ()> + Send {
        let _ = (cx, state);
        async {}
    }
}

/// What ractor carries. A type of its own, so that applications' messages need no ractor trait and are never
/// remotable.
pub(super) enum Envelope<M> {
    Message(M),
    /// A tick of a repeating timer. Boxed like the variant below.
    Tick(Box<Tick<M>>),
    /// A task of the actor panicked. Boxed, since the size of the largest variant is moved with every
    /// message.
    TaskPanicked(Box<(&'static str, Panic)>),
}

/// A message of a repeating timer. While it waits in the mailbox, the timer sends no other.
pub(super) struct Tick<M> {
    message: M,
    waits: Arc<AtomicBool>,
}

impl<M> Tick<M> {
    /// The message; from now on the timer may send the next one.
    fn open(self) -> M {
        self.waits.store(false, Release);
        self.message
    }
}

impl<M: Message> ractor::Message for Envelope<M> {}

/// An actor's surroundings.
pub struct Context<M: Message> {
    path: Arc<str>,
    tree: Arc<Tree>,
    slot: Arc<Slot<M>>,
    incarnation: Arc<Incarnation<M>>,
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl<M: Message> Context<M> {
    pub(super) fn new(
        launch: &Launch,
        slot: &Arc<Slot<M>>,
        actor: ActorRef<Envelope<M>>,
        meter: Arc<Meter>,
    ) -> Self {
        let incarnation = Arc::new(Incarnation { actor, meter });
        slot.current.store(Some(Arc::clone(&incarnation)));
        let (path, tree) = (Arc::clone(&launch.entry.path), Arc::clone(&launch.tree));
        Self { path, tree, slot: Arc::clone(slot), incarnation, tasks: Mutex::default() }
    }

    /// Where it stands in the tree.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tree it belongs to.
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// Its own address, valid over restarts. A message that the actor sends to itself waits behind those that
    /// are there.
    pub fn address(&self) -> Address<M> {
        Address::new(Arc::clone(&self.slot))
    }

    /// Ends the actor normally after this message; those that wait are dropped. `reason` goes to the log.
    pub fn stop(&self, reason: &str) {
        tracing::debug!(path = %self.path, reason, "actor stops itself");
        self.incarnation.actor.stop(None);
    }

    /// Sends `message` to this incarnation after `delay`, also when the mailbox is full. Dropping the timer
    /// cancels it.
    pub fn send_after(&self, delay: Duration, message: M) -> Timer {
        let incarnation = Arc::clone(&self.incarnation);
        let due = Instant::now() + delay;
        Timer(AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep_until(due).await;
            // `Gone` means that this incarnation has ended, and with it the reason for the timer.
            let _: Result<(), CastError> = incarnation.send_always(message);
        })))
    }

    /// Sends a message to this incarnation after each `interval` (at least a millisecond), also when the mailbox is
    /// full. Dropping the timer cancels it.
    ///
    /// An actor that is slower than the timer is never flooded: while the message of one tick waits in the
    /// mailbox, the ticks that come due are skipped. Ticks stay on the grid of the first one, so the handling
    /// time of a message does not add up to a drift.
    ///
    /// ```ignore
    /// let timer = cx.send_every(secs(5), || MonitorMessage::Ping);
    /// ```
    pub fn send_every(&self, interval: Duration, make: impl Fn() -> M + Send + 'static) -> Timer {
        let incarnation = Arc::clone(&self.incarnation);
        let interval = interval.max(INTERVAL_MIN);
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Timer(AbortOnDropHandle::new(tokio::spawn(async move {
            let waits = Arc::new(AtomicBool::new(false));
            loop {
                ticks.tick().await;
                if waits.swap(true, AcqRel) {
                    continue;
                }
                let tick = Tick { message: make(), waits: Arc::clone(&waits) };
                // `Gone` means that this incarnation has ended, and with it the reason for the timer.
                if incarnation.send_tick(Box::new(tick)).is_err() {
                    return;
                }
            }
        })))
    }

    /// Runs `future` beside the actor like [`spawn`](Self::spawn), and sends the message that it returns to the
    /// actor, also when the mailbox is full.
    pub fn spawn_message(&self, task: &'static str, future: impl Future<Output = M> + Send + 'static) {
        let incarnation = Arc::clone(&self.incarnation);
        self.spawn(task, async move {
            let message = future.await;
            // `Gone` means that this incarnation ends, and the result of its task with it.
            let _: Result<(), CastError> = incarnation.send_always(message);
        });
    }

    /// Runs `future` beside the actor and ends it with the actor. A panic in it is a crash of the actor; a
    /// result it wants to report it sends as a message.
    pub fn spawn(&self, task: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let actor = self.incarnation.actor.clone();
        // Boxed, because a future that takes another one by value holds it twice, and there are two of them
        // here: a session's socket would be three times as large for as long as it is open.
        let mut future = Box::pin(future);
        let handle = tokio::spawn(async move {
            if let Err(panic) = catch_pinned(future.as_mut()).await {
                // The actor may have ended meanwhile; then there is nobody left to crash.
                let _ = actor.send_message(Envelope::TaskPanicked(Box::new((task, panic))));
            }
        });
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(AbortOnDropHandle::new(handle));
    }

    /// Ends the tasks, and waits until they have let go of what they hold.
    async fn end_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        if tasks.is_empty() {
            return;
        }
        tasks.iter().for_each(|task| task.abort());
        if tokio::time::timeout(TASKS_END_DEADLINE, futures::future::join_all(tasks)).await.is_err() {
            tracing::warn!(path = %self.path, "a task of the actor blocks its thread and outlives the actor");
        }
    }
}

/// A message under way to its own actor. Dropping it cancels it.
#[derive(Debug)]
#[must_use = "a timer that is dropped never fires; keep it in the state"]
pub struct Timer(#[expect(dead_code, reason = "held for its drop")] AbortOnDropHandle<()>);

/// Runs an [`Actor`] on ractor.
struct Host<A> {
    actor: A,
    entry: Arc<Entry>,
    tree: Arc<Tree>,
}

struct Running<A: Actor> {
    cx: Context<A::Message>,
    meter: Arc<Meter>,
    state: A::State,
}

/// How an incarnation failed.
enum Failure {
    Error(ActorError),
    Panic(Panic),
}

impl<T> From<Result<Result<T, ActorError>, Panic>> for Outcome<T> {
    fn from(caught: Result<Result<T, ActorError>, Panic>) -> Self {
        Self(match caught {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::Error(error)),
            Err(panic) => Err(Failure::Panic(panic)),
        })
    }
}

struct Outcome<T>(Result<T, Failure>);

impl<A: Actor> Host<A> {
    /// Ends an incarnation by a crash: first everything it owns, then the record.
    async fn fail(
        &self,
        running: &mut Option<Running<A>>,
        message: Option<&'static str>,
        failure: Failure,
    ) -> ActorError {
        if let Some(running) = running.take() {
            running.cx.end_tasks().await;
        }
        self.crash(message, failure)
    }

    fn crash(&self, message: Option<&'static str>, failure: Failure) -> ActorError {
        let cause = match &failure {
            Failure::Error(error) => chain(error.as_ref()),
            Failure::Panic(panic) => panic.message.clone(),
        };
        let mut crash = Crash { message, ..Crash::new(&self.entry.path, A::KIND, &cause) };
        let error: ActorError = match failure {
            Failure::Error(error) => error,
            Failure::Panic(panic) => {
                (crash.location, crash.backtrace) =
                    (Some(panic.location.clone()), Some(Arc::clone(&panic.backtrace)));
                Box::new(panic)
            }
        };
        self.tree.crashed(&self.entry, crash);
        error
    }
}

impl<A: Actor> ractor::Actor for Host<A> {
    type Msg = Envelope<A::Message>;
    type State = Option<Running<A>>;
    type Arguments = (Launch, Arc<Slot<A::Message>>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (launch, slot): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let meter = self.entry.incarnate(A::KIND, A::Message::NAMES, slot.mailbox_max);
        // The address works from here on, so that `start` can leave messages for later.
        let cx = Context::new(&launch, &slot, myself, Arc::clone(&meter));
        match Outcome::from(catch_unwind(self.actor.start(&cx)).await).0 {
            Ok(state) => {
                self.tree.started(&self.entry);
                Ok(Some(Running { cx, meter, state }))
            }
            Err(failure) => {
                slot.current.store(None);
                cx.end_tasks().await;
                Err(self.crash(None, failure))
            }
        }
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        envelope: Self::Msg,
        running: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(Running { cx, meter, state }) = running else { return Ok(()) };
        let message = match envelope {
            Envelope::Message(message) => message,
            Envelope::Tick(tick) => tick.open(),
            Envelope::TaskPanicked(panicked) => {
                let (task, panic) = *panicked;
                return Err(Box::pin(self.fail(running, Some(task), Failure::Panic(panic))).await);
            }
        };
        let index = message.index();
        let began = meter.begin(index);
        let outcome = catch_pinned(pin!(self.actor.handle(cx, message, state))).await;
        meter.end(began);
        let Err(failure) = Outcome::from(outcome).0 else { return Ok(()) };
        // Boxed, because ractor moves the whole future of every message about, and this part is almost never
        // used.
        Err(Box::pin(self.fail(running, A::Message::NAMES.get(index).copied(), failure)).await)
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        running: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(mut running) = running.take() else { return Ok(()) };
        let stopped = catch_unwind(self.actor.stop(&running.cx, &mut running.state)).await;
        running.cx.end_tasks().await;
        drop(running);
        stopped.map_err(|panic| self.crash(Some("stop"), Failure::Panic(panic)))
    }
}

/// Starts one incarnation under `parent`.
pub(super) async fn launch_actor<A: Actor>(
    make: Arc<impl Fn() -> A + Send + Sync>,
    slot: Arc<Slot<A::Message>>,
    launch: Launch,
    parent: ActorCell,
) -> Result<Launched, StartError> {
    let (entry, tree, stopping) =
        (Arc::clone(&launch.entry), Arc::clone(&launch.tree), launch.stopping.clone());
    let path = Arc::clone(&entry.path);
    // The factory is application code too.
    let actor = match catch_unwind(async { make() }).await {
        Ok(actor) => actor,
        Err(panic) => {
            let crash = Crash {
                location: Some(panic.location.clone()),
                ..Crash::new(&path, A::KIND, &panic.message)
            };
            tree.crashed(&entry, crash);
            return Err(StartError::new(&path, panic));
        }
    };
    let host = Host { actor, entry, tree };
    tokio::select! {
        biased;
        () = stopping.cancelled() => Err(StartError::new(&path, StartCut::SupervisorStops)),
        started = ractor::Actor::spawn_linked(None, host, (launch, slot), parent) => match started {
            Ok((actor, task)) => Ok(Launched { cell: actor.get_cell(), task, stopping: None }),
            Err(error) => Err(StartError::refused(&path, error)),
        },
    }
}

/// An error with its sources, as one sentence each.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Many errors repeat their source in their own text.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

impl<M: Message> fmt::Debug for Context<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("path", &self.path).finish_non_exhaustive()
    }
}
