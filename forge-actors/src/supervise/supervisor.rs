//! The supervisor: a ractor actor that does what [`Slots`](super::state::Slots) decides.
//!
//! It never waits without a limit: starts and stops have deadlines, delays are timers. Children are known by
//! their ractor id, so the late event of one that was replaced or stopped on purpose matches nothing. It
//! stops its children itself, in its `post_stop` and before it fails, because ractor only kills what is
//! linked to an actor that ends.

use std::sync::{Arc, OnceLock};

use ractor::{Actor as _, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio_util::sync::CancellationToken;

use super::actor::{ActorError, Context, Envelope, Message, chain};
use super::address::{Address, Reply, Slot};
use super::crew::Crew;
use super::dynamic::ChildError;
use super::launch::{Launch, Launched, StartError};
use super::spec::{ChildSpec, DynamicSpec, SupervisorSpec};
use super::tree::Meter;

/// Orders that may wait at a supervisor.
pub(super) const MAILBOX_MAX: usize = 1_000;

/// What a supervisor is asked.
pub(super) enum Order {
    StartDue,
    StartChild { spec: ChildSpec, reply: Reply<Result<(), ChildError>> },
    StopChild { id: String, reply: Reply<Result<(), ChildError>> },
    RestartChild { id: String, reply: Reply<Result<(), ChildError>> },
    StartAgain { id: String, reply: Reply<Result<(), ChildError>> },
    ListChildren { reply: Reply<Vec<String>> },
}

impl Message for Order {
    const NAMES: &'static [&'static str] =
        &["StartDue", "StartChild", "StopChild", "RestartChild", "StartAgain", "ListChildren"];

    fn index(&self) -> usize {
        match self {
            Self::StartDue => 0,
            Self::StartChild { .. } => 1,
            Self::StopChild { .. } => 2,
            Self::RestartChild { .. } => 3,
            Self::StartAgain { .. } => 4,
            Self::ListChildren { .. } => 5,
        }
    }
}

/// The two forms.
#[derive(Clone)]
pub(super) enum Kind {
    Fixed(Arc<SupervisorSpec>),
    Dynamic(DynamicSpec),
}

/// A supervisor's budget was spent: which actor spent it last, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the restart budget is exhausted; `{path}` failed last: {cause}")]
pub(super) struct GaveUp {
    pub(super) path: String,
    pub(super) cause: String,
}

/// How a child ended.
pub(super) enum Exit {
    Normal,
    Killed,
    Failed(ActorError),
}

struct Supervisor {
    kind: Kind,
    /// Where the root leaves its last word; only the root has nobody to fail to.
    last_word: Option<Arc<OnceLock<GaveUp>>>,
}

struct Running {
    crew: Crew,
    meter: Arc<Meter>,
}

impl ractor::Actor for Supervisor {
    type Msg = Envelope<Order>;
    type State = Running;
    type Arguments = (Launch, Arc<Slot<Order>>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (launch, slot): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let name = match self.kind {
            Kind::Fixed(_) => "supervisor",
            Kind::Dynamic(_) => "dynamic supervisor",
        };
        let meter = launch.entry.incarnate(name, Order::NAMES, MAILBOX_MAX);
        let (cell, tree, entry) = (myself.get_cell(), Arc::clone(&launch.tree), Arc::clone(&launch.entry));
        let cx = Context::new(&launch, &slot, myself, Arc::clone(&meter));
        let mut crew = Crew::new(&self.kind, launch, cell, cx, self.last_word.clone());
        if let Kind::Fixed(spec) = &self.kind {
            crew.start_all(&spec.children).await?;
        }
        tree.started(&entry);
        Ok(Running { crew, meter })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        envelope: Self::Msg,
        Running { crew, meter }: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Envelope::Message(order) = envelope else { return Ok(()) };
        let began = meter.begin(order.index());
        let outcome = match order {
            Order::StartDue => crew.start_due().await,
            Order::StartChild { spec, reply } => crew.start_child(spec, reply).await,
            Order::StopChild { id, reply } => crew.stop_child(&id, reply).await,
            Order::RestartChild { id, reply } => crew.restart_child(&id, reply).await,
            Order::StartAgain { id, reply } => crew.start_again(&id, reply).await,
            Order::ListChildren { reply } => crew.list(reply),
        };
        meter.end(began);
        Ok(outcome?)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        Running { crew, .. }: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => crew.exited(&cell, Exit::Failed(error)).await?,
            SupervisionEvent::ActorTerminated(cell, state, reason) => {
                // A kill leaves the actor's state in the event; what it holds must go before a successor
                // starts.
                drop(state);
                // Forge stops actors without a reason, so these words can only be ractor's own.
                let killed = matches!(reason.as_deref(), Some("killed" | "actor_task_cancelled"));
                crew.exited(&cell, if killed { Exit::Killed } else { Exit::Normal }).await?;
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        Running { crew, .. }: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        crew.stop_all().await;
        Ok(())
    }
}

/// Starts a supervisor and its children, under `parent` or as a root with a `last_word`.
pub(super) async fn launch(
    kind: Kind,
    slot: Arc<Slot<Order>>,
    launch: Launch,
    parent: Option<ActorCell>,
    last_word: Option<Arc<OnceLock<GaveUp>>>,
) -> Result<Launched, StartError> {
    let stopping: CancellationToken = launch.stopping.clone();
    let entry = Arc::clone(&launch.entry);
    entry.takes_orders(Address::new(Arc::clone(&slot)));
    let supervisor = Supervisor { kind, last_word };
    let started = match parent {
        Some(parent) => Supervisor::spawn_linked(None, supervisor, (launch, slot), parent).await,
        None => Supervisor::spawn(None, supervisor, (launch, slot)).await,
    };
    match started {
        Ok((actor, task)) => Ok(Launched { cell: actor.get_cell(), task, stopping: Some(stopping) }),
        Err(error) => {
            let error = StartError::refused(&entry.path, error);
            entry.fail(&format!("{error}: {}", chain(error.source.as_ref())));
            Err(error)
        }
    }
}
