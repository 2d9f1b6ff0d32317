//! Runs an [`Actor`] on ractor.
//!
//! The host adds to a plain ractor actor: recorded crashes for panics and errors, counters for the tree, an
//! address, and owned tasks. It drops the actor's state before it reports the end, because ractor puts the
//! state of a stopped actor into the supervisor's mailbox, where a bound socket or a locked file would still
//! be held when the successor starts.

use std::pin::pin;
use std::sync::Arc;

use ractor::{ActorCell, ActorProcessingErr, ActorRef};

use super::actor::{Actor, ActorError, Message};
use super::address::{AddressTarget, Envelope};
use super::context::Context;
use super::entry::TreeEntry;
use super::journal::Crash;
use super::launch::{Launch, Launched, StartCut, StartError};
use super::meter::Meter;
use super::panic::{Panic, catch_pinned, catch_unwind};
use super::tree::Tree;
use crate::kernel::error_chain::error_chain;

/// The ractor actor around an [`Actor`].
struct Host<A> {
    actor: A,
    entry: Arc<TreeEntry>,
    tree: Arc<Tree>,
}

/// An actor whose `start` returned.
struct LiveActor<A: Actor> {
    cx: Context<A::Message>,
    meter: Arc<Meter>,
    state: A::State,
}

/// Why an incarnation crashed.
enum ActorFailure {
    Error(ActorError),
    Panic(Panic),
}

/// Flattens the two ways in which application code fails.
fn failure<T>(caught: Result<Result<T, ActorError>, Panic>) -> Result<T, ActorFailure> {
    match caught {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ActorFailure::Error(error)),
        Err(panic) => Err(ActorFailure::Panic(panic)),
    }
}

impl<A: Actor> Host<A> {
    /// Ends an incarnation by a crash: first its tasks and its state are dropped, then the crash is recorded.
    async fn fail(
        &self,
        running: &mut Option<LiveActor<A>>,
        message: Option<&'static str>,
        failure: ActorFailure,
    ) -> ActorError {
        if let Some(running) = running.take() {
            running.cx.end_tasks().await;
        }
        self.crash(message, failure)
    }

    fn crash(&self, message: Option<&'static str>, failure: ActorFailure) -> ActorError {
        let cause = match &failure {
            ActorFailure::Error(error) => error_chain(error.as_ref()),
            ActorFailure::Panic(panic) => panic.message.clone(),
        };
        let mut crash = Crash { message, ..Crash::new(&self.entry.path, A::KIND, &cause) };
        let error: ActorError = match failure {
            ActorFailure::Error(error) => error,
            ActorFailure::Panic(panic) => {
                crash.location = Some(panic.location.clone());
                crash.backtrace = Some(Arc::clone(&panic.backtrace));
                Box::new(panic)
            }
        };
        self.tree.crashed(&self.entry, crash);
        error
    }
}

impl<A: Actor> ractor::Actor for Host<A> {
    type Msg = Envelope<A::Message>;
    type State = Option<LiveActor<A>>;
    type Arguments = (Launch, Arc<AddressTarget<A::Message>>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (launch, target): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let meter = self.entry.begin_incarnation(A::KIND, A::Message::NAMES, target.mailbox_max);
        // The address works from here on, so that `start` can send messages to the actor itself.
        let cx = Context::new(&launch, &target, myself, Arc::clone(&meter));
        match failure(catch_unwind(self.actor.start(&cx)).await) {
            Ok(state) => {
                self.tree.started(&self.entry);
                Ok(Some(LiveActor { cx, meter, state }))
            }
            Err(failure) => {
                target.current.store(None);
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
        let Some(LiveActor { cx, meter, state }) = running else { return Ok(()) };
        let message = match envelope {
            Envelope::Message(message) => message,
            Envelope::Tick(tick) => tick.open(),
            Envelope::TaskPanicked(panicked) => {
                let (task, panic) = *panicked;
                return Err(Box::pin(self.fail(running, Some(task), ActorFailure::Panic(panic))).await);
            }
        };
        let index = message.index();
        let began = meter.begin(index);
        let outcome = catch_pinned(pin!(self.actor.handle(cx, message, state))).await;
        meter.end(began);
        let Err(failure) = failure(outcome) else { return Ok(()) };
        // Boxed, because ractor moves the whole future for every message, and this part is rarely used.
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
        stopped.map_err(|panic| self.crash(Some("stop"), ActorFailure::Panic(panic)))
    }
}

/// Starts one incarnation under `parent`.
pub(super) async fn launch_actor<A: Actor>(
    make: Arc<impl Fn() -> A + Send + Sync>,
    target: Arc<AddressTarget<A::Message>>,
    launch: Launch,
    parent: ActorCell,
) -> Result<Launched, StartError> {
    let (entry, tree, stopping) =
        (Arc::clone(&launch.entry), Arc::clone(&launch.tree), launch.stopping.clone());
    let path = Arc::clone(&entry.path);
    // The factory is application code too, and may panic.
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
        started = ractor::Actor::spawn_linked(None, host, (launch, target), parent) => match started {
            Ok((actor, task)) => Ok(Launched { cell: actor.get_cell(), task, stopping: None }),
            Err(error) => Err(StartError::from_ractor(&path, error)),
        },
    }
}
