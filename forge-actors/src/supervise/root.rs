//! The supervisor at the top of a tree: a node starts it, waits for its end and stops it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::address::AddressTarget;
use super::entry::TreeEntry;
use super::journal::EventKind;
use super::launch::{Launch, Launched, StartError, terminate};
use super::spec::{Shutdown, SupervisorSpec};
use super::supervisor::{self, BudgetExhausted, SupervisorKind};
use super::tree::{ActorState, Tree};
use crate::kernel::time::format_duration;

/// How a root ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootExit {
    /// The root was stopped.
    Stopped,
    /// The root's restart budget was exhausted: the process should end with an error.
    GaveUp {
        /// The actor that failed last.
        path: String,
        /// How that actor failed.
        cause: String,
    },
}

/// The root did not stop in order by its deadline, and was killed with all actors below it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not everything stopped within {}; killed: {}", format_duration(*.deadline), .paths.join(", "))]
pub struct StopTimeout {
    /// How long the root had to stop.
    pub deadline: Duration,
    /// Paths of the actors that had not stopped by then.
    pub paths: Vec<String>,
}

/// A running supervision tree. Dropping it kills all actors at once, without their `stop`.
#[derive(Debug)]
pub struct Root {
    launched: Option<Launched>,
    entry: Arc<TreeEntry>,
    tree: Arc<Tree>,
    failure: Arc<OnceLock<BudgetExhausted>>,
}

impl Root {
    /// Starts `spec` under the path `id` and waits until all actors have started.
    ///
    /// # Errors
    /// The first child that did not start; the children before it have been stopped again.
    pub async fn start(id: &str, spec: SupervisorSpec, tree: Arc<Tree>) -> Result<Self, StartError> {
        spec.validate().map_err(|error| StartError::new(id, error))?;
        let entry = tree.enter(id);
        entry.set(ActorState::Starting);
        let launch =
            Launch { tree: Arc::clone(&tree), entry: Arc::clone(&entry), stopping: CancellationToken::new() };
        let failure = Arc::default();
        let target = AddressTarget::new(supervisor::MAILBOX_MAX);
        let kind = SupervisorKind::Fixed(Arc::new(spec));
        let launched = supervisor::launch(kind, target, launch, None, Some(Arc::clone(&failure))).await?;
        Ok(Self { launched: Some(launched), entry, tree, failure })
    }

    /// The tree of this root.
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// Waits until the root has ended. May be cancelled and called again.
    pub async fn wait(&mut self) -> RootExit {
        if let Some(launched) = &mut self.launched {
            // An error says that the supervisor's task panicked. It has ended as well, without a `failure`.
            let _ = (&mut launched.task).await;
            self.launched = None;
            self.entry.end_incarnation();
        }
        match self.failure.get() {
            Some(BudgetExhausted { path, cause }) => {
                RootExit::GaveUp { path: path.clone(), cause: cause.clone() }
            }
            None => RootExit::Stopped,
        }
    }

    /// Stops all actors in reverse start order.
    ///
    /// # Errors
    /// [`StopTimeout`]: `deadline` passed first, and the actors that had not stopped were killed.
    pub async fn stop(mut self, deadline: Duration) -> Result<(), StopTimeout> {
        let Some(mut launched) = self.launched.take() else { return Ok(()) };
        self.entry.set(ActorState::Stopping);
        if let Some(stopping) = &launched.stopping {
            stopping.cancel();
        }
        launched.cell.stop(None);
        let in_time = timeout(deadline, &mut launched.task).await.is_ok();
        let ended = |state| matches!(state, ActorState::Stopped | ActorState::Failed);
        let late =
            self.tree.snapshot().into_iter().filter(|actor| !ended(actor.state)).map(|actor| actor.path);
        let paths: Vec<_> = if in_time { Vec::new() } else { late.collect() };
        if !in_time {
            terminate(launched, Shutdown::Brutal).await;
            self.tree.ended_below(&self.entry.path);
        }
        self.entry.end_incarnation();
        self.entry.set(ActorState::Stopped);
        self.tree.journal().record(&self.entry.path, EventKind::Stopped { killed: !in_time });
        if in_time { Ok(()) } else { Err(StopTimeout { deadline, paths }) }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Some(launched) = &self.launched {
            launched.cell.kill();
        }
    }
}
