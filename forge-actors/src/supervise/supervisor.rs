//! The supervisor: a ractor actor around a [`ChildTable`].
//!
//! It never waits without a limit: starts and stops have deadlines, and delays are timers. Children are known
//! by their ractor id, so the late event of a child that was replaced or stopped on purpose matches no child.
//! The supervisor stops its children itself, in its `post_stop` and before it fails, because ractor only
//! kills the actors that are linked to one that ends.

use std::sync::{Arc, OnceLock};

use ractor::{Actor as _, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio_util::sync::CancellationToken;

use super::actor::{ActorError, Message};
use super::address::{Address, AddressTarget, Envelope, Reply};
use super::child_table::ChildTable;
use super::context::Context;
use super::dynamic::ChildError;
use super::launch::{Launch, Launched, StartError};
use super::meter::Meter;
use super::spec::{ChildSpec, DynamicSpec, SupervisorSpec};
use crate::kernel::error_chain::error_chain;

/// Commands that may wait at a supervisor.
pub(super) const MAILBOX_MAX: usize = 1_000;

/// Messages of a supervisor.
pub(super) enum SupervisorCommand {
    /// The restart timer fired.
    StartDue,
    StartChild {
        spec: ChildSpec,
        reply: Reply<Result<(), ChildError>>,
    },
    StopChild {
        id: String,
        reply: Reply<Result<(), ChildError>>,
    },
    RestartChild {
        id: String,
        reply: Reply<Result<(), ChildError>>,
    },
    /// The second half of a restart: the child has been stopped.
    StartStopped {
        id: String,
        reply: Reply<Result<(), ChildError>>,
    },
    ListChildren {
        reply: Reply<Vec<String>>,
    },
}

impl Message for SupervisorCommand {
    const NAMES: &'static [&'static str] =
        &["StartDue", "StartChild", "StopChild", "RestartChild", "StartStopped", "ListChildren"];

    fn index(&self) -> usize {
        match self {
            Self::StartDue => 0,
            Self::StartChild { .. } => 1,
            Self::StopChild { .. } => 2,
            Self::RestartChild { .. } => 3,
            Self::StartStopped { .. } => 4,
            Self::ListChildren { .. } => 5,
        }
    }
}

/// The two forms of a supervisor.
#[derive(Clone)]
pub(super) enum SupervisorKind {
    /// Children known beforehand.
    Fixed(Arc<SupervisorSpec>),
    /// Children that come and go at run time.
    Dynamic(DynamicSpec),
}

/// A supervisor failed because no restart was left: which actor failed last, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the restart budget is exhausted; `{path}` failed last: {cause}")]
pub(super) struct BudgetExhausted {
    pub(super) path: String,
    pub(super) cause: String,
}

impl BudgetExhausted {
    /// The last failure was a start.
    pub(super) fn after(error: &StartError) -> Self {
        Self { path: error.path.clone(), cause: error_chain(error.source.as_ref()) }
    }
}

/// How a child ended.
pub(super) enum ChildExit {
    Normal,
    Killed,
    Failed(ActorError),
}

struct Supervisor {
    kind: SupervisorKind,
    /// Where a root leaves the cause of its end, since it has no parent to fail to.
    root_failure: Option<Arc<OnceLock<BudgetExhausted>>>,
}

struct LiveSupervisor {
    children: ChildTable,
    meter: Arc<Meter>,
}

impl ractor::Actor for Supervisor {
    type Msg = Envelope<SupervisorCommand>;
    type State = LiveSupervisor;
    type Arguments = (Launch, Arc<AddressTarget<SupervisorCommand>>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (launch, target): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let name = match self.kind {
            SupervisorKind::Fixed(_) => "supervisor",
            SupervisorKind::Dynamic(_) => "dynamic supervisor",
        };
        let meter = launch.entry.begin_incarnation(name, SupervisorCommand::NAMES, MAILBOX_MAX);
        let (cell, tree, entry) = (myself.get_cell(), Arc::clone(&launch.tree), Arc::clone(&launch.entry));
        let cx = Context::new(&launch, &target, myself, Arc::clone(&meter));
        let mut children = ChildTable::new(&self.kind, launch, cell, cx, self.root_failure.clone());
        if let SupervisorKind::Fixed(spec) = &self.kind {
            children.start_all(&spec.children).await?;
        }
        tree.started(&entry);
        Ok(LiveSupervisor { children, meter })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        envelope: Self::Msg,
        LiveSupervisor { children, meter }: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Envelope::Message(command) = envelope else { return Ok(()) };
        let began = meter.begin(command.index());
        let outcome = match command {
            SupervisorCommand::StartDue => children.start_due().await,
            SupervisorCommand::StartChild { spec, reply } => {
                children.start_child(spec, reply).await;
                Ok(())
            }
            SupervisorCommand::StopChild { id, reply } => {
                children.stop_child(&id, reply).await;
                Ok(())
            }
            SupervisorCommand::RestartChild { id, reply } => {
                children.restart_child(&id, reply).await;
                Ok(())
            }
            SupervisorCommand::StartStopped { id, reply } => children.start_stopped(&id, reply).await,
            SupervisorCommand::ListChildren { reply } => {
                children.list(reply);
                Ok(())
            }
        };
        meter.end(began);
        Ok(outcome?)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        LiveSupervisor { children, .. }: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                children.exited(&cell, ChildExit::Failed(error)).await?
            }
            SupervisionEvent::ActorTerminated(cell, state, reason) => {
                // A kill leaves the actor's state in the event. Sockets and locks in it must be free before
                // the successor starts.
                drop(state);
                // Forge stops actors without a reason, so these two reasons can only be ractor's own.
                let killed = matches!(reason.as_deref(), Some("killed" | "actor_task_cancelled"));
                children.exited(&cell, if killed { ChildExit::Killed } else { ChildExit::Normal }).await?;
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
        LiveSupervisor { children, .. }: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        children.stop_all().await;
        Ok(())
    }
}

/// Starts a supervisor and its children, under `parent` or as a root with a `root_failure`.
pub(super) async fn launch(
    kind: SupervisorKind,
    target: Arc<AddressTarget<SupervisorCommand>>,
    launch: Launch,
    parent: Option<ActorCell>,
    root_failure: Option<Arc<OnceLock<BudgetExhausted>>>,
) -> Result<Launched, StartError> {
    let stopping: CancellationToken = launch.stopping.clone();
    let entry = Arc::clone(&launch.entry);
    entry.set_commands(Address::new(Arc::clone(&target)));
    let supervisor = Supervisor { kind, root_failure };
    let started = match parent {
        Some(parent) => Supervisor::spawn_linked(None, supervisor, (launch, target), parent).await,
        None => Supervisor::spawn(None, supervisor, (launch, target)).await,
    };
    match started {
        Ok((actor, task)) => Ok(Launched { cell: actor.get_cell(), task, stopping: Some(stopping) }),
        Err(error) => {
            let error = StartError::from_ractor(&entry.path, error);
            entry.set_failed(&format!("{error}: {}", error_chain(error.source.as_ref())));
            Err(error)
        }
    }
}
