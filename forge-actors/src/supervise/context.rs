//! What an actor sees of its surroundings: its path, its address, timers, and tasks that it owns.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor::ActorRef;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use super::actor::Message;
use super::address::{Address, AddressTarget, CastError, Envelope, Incarnation, TimerTick};
use super::launch::Launch;
use super::meter::Meter;
use super::panic::catch_pinned;
use super::tree::Tree;
use super::work::{Work, WorkGuard};

/// Time for the tasks of an actor that ends to reach an await point.
const TASKS_END_DEADLINE: Duration = Duration::from_secs(1);
/// Shortest interval of a repeating timer.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The surroundings of one incarnation of an actor.
pub struct Context<M: Message> {
    path: Arc<str>,
    tree: Arc<Tree>,
    target: Arc<AddressTarget<M>>,
    incarnation: Arc<Incarnation<M>>,
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl<M: Message> Context<M> {
    pub(super) fn new(
        launch: &Launch,
        target: &Arc<AddressTarget<M>>,
        actor: ActorRef<Envelope<M>>,
        meter: Arc<Meter>,
    ) -> Self {
        let incarnation = Arc::new(Incarnation { actor, meter });
        target.current.store(Some(Arc::clone(&incarnation)));
        let (path, tree) = (Arc::clone(&launch.entry.path), Arc::clone(&launch.tree));
        Self { path, tree, target: Arc::clone(target), incarnation, tasks: Mutex::default() }
    }

    /// The actor's path in the tree.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tree that the actor belongs to.
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// The actor's own address, valid over restarts. A message that the actor sends to itself is handled
    /// after the messages that wait already.
    pub fn address(&self) -> Address<M> {
        Address::new(Arc::clone(&self.target))
    }

    /// Shows what the actor works on, until the guard is dropped: for messages whose name says little.
    pub fn working_on(&self, work: Work) -> WorkGuard<'_> {
        WorkGuard::new(&self.incarnation.meter, work)
    }

    /// Ends the actor normally after this message; the messages that wait are dropped. `reason` goes to the
    /// log.
    pub fn stop(&self, reason: &str) {
        tracing::debug!(path = %self.path, reason, "actor stops itself");
        self.incarnation.actor.stop(None);
    }

    /// Sends `message` to this incarnation after `delay`, even to a full mailbox. Dropping the timer cancels
    /// it.
    pub fn send_after(&self, delay: Duration, message: M) -> Timer {
        let incarnation = Arc::clone(&self.incarnation);
        let due = Instant::now() + delay;
        Timer(AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep_until(due).await;
            // `Gone` says that this incarnation has ended, and its timers with it.
            let _: Result<(), CastError> = incarnation.send_always(message);
        })))
    }

    /// Sends a message to this incarnation after each `interval` (at least a millisecond), even to a full
    /// mailbox. Dropping the timer cancels it.
    ///
    /// A slow actor is never flooded: while the message of one tick waits in the mailbox, the ticks that come
    /// due are skipped. Ticks stay on the grid of the first one, so the time that messages take to handle
    /// does not add up to a drift.
    ///
    /// ```
    /// # use forge_actors::kernel::time::secs;
    /// # use forge_actors::supervise::{Actor, ActorError, Context, Message, Timer};
    /// # enum PingMessage { Ping }
    /// # impl Message for PingMessage {
    /// #     const NAMES: &'static [&'static str] = &["Ping"];
    /// #     fn index(&self) -> usize { 0 }
    /// # }
    /// # struct Pinger;
    /// # impl Actor for Pinger {
    /// #     type Message = PingMessage;
    /// type State = Timer;
    /// #     const KIND: &'static str = "pinger";
    ///
    /// async fn start(&self, cx: &Context<PingMessage>) -> Result<Timer, ActorError> {
    ///     Ok(cx.send_every(secs(5), || PingMessage::Ping))
    /// }
    /// #     async fn handle(
    /// #         &self, _: &Context<PingMessage>, _: PingMessage, _: &mut Timer,
    /// #     ) -> Result<(), ActorError> { Ok(()) }
    /// # }
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
                if waits.swap(true, Ordering::AcqRel) {
                    continue;
                }
                let tick = TimerTick { message: make(), waits: Arc::clone(&waits) };
                // `Gone` says that this incarnation has ended, and its timers with it.
                if incarnation.send_tick(Box::new(tick)).is_err() {
                    return;
                }
            }
        })))
    }

    /// Runs `future` beside the actor like [`spawn`](Self::spawn), and sends the message that it returns to
    /// the actor, even to a full mailbox.
    pub fn spawn_message(&self, task: &'static str, future: impl Future<Output = M> + Send + 'static) {
        let incarnation = Arc::clone(&self.incarnation);
        // Boxed for the reason given at `spawn`.
        let future = Box::pin(future);
        self.spawn(task, async move {
            let message = future.await;
            // `Gone` says that this incarnation has ended, and its tasks with it.
            let _: Result<(), CastError> = incarnation.send_always(message);
        });
    }

    /// Runs `future` beside the actor and ends it with the actor. A panic of the future is a crash of the
    /// actor, recorded under the name `task`.
    pub fn spawn(&self, task: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let actor = self.incarnation.actor.clone();
        // Boxed, because a future that takes another future by value holds it twice, and two of them nest
        // here: the task of a session's socket would be three times as large for as long as the socket is
        // open.
        let mut future = Box::pin(future);
        let handle = tokio::spawn(async move {
            if let Err(panic) = catch_pinned(future.as_mut()).await {
                // An error says that the actor has ended meanwhile and cannot crash any more.
                let _ = actor.send_message(Envelope::TaskPanicked(Box::new((task, panic))));
            }
        });
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(AbortOnDropHandle::new(handle));
    }

    /// Ends the tasks, and waits until their values are dropped.
    pub(super) async fn end_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        if tasks.is_empty() {
            return;
        }
        tasks.iter().for_each(|task| task.abort());
        if tokio::time::timeout(TASKS_END_DEADLINE, futures::future::join_all(tasks)).await.is_err() {
            tracing::warn!(path = %self.path, "a task blocks its thread and outlives its actor");
        }
    }
}

/// A pending message, or a series of them, of an actor to itself. Dropping the timer cancels it.
#[derive(Debug)]
#[must_use = "a timer that is dropped never fires; keep it in the state"]
pub struct Timer(#[expect(dead_code, reason = "held for its drop")] AbortOnDropHandle<()>);

impl<M: Message> fmt::Debug for Context<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("path", &self.path).finish_non_exhaustive()
    }
}
