//! The supervisor above all others: a node starts it, waits for it, stops it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::address::Slot;
use super::journal::EventKind;
use super::launch::{Launch, Launched, StartError, terminate};
use super::spec::{Shutdown, SupervisorSpec};
use super::supervisor::{self, GaveUp, Kind};
use super::tree::{ActorState, Entry, Tree};

/// How the root ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was stopped.
    Stopped,
    /// Its restart budget was exhausted: the process should end with an error.
    GaveUp {
        /// The actor that failed last.
        path: String,
        /// How it failed.
        cause: String,
    },
}

/// The root did not stop in order by its deadline, and was killed with everything below it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not everything stopped within {}; killed: {}", crate::kernel::time::format_duration(*.deadline), .paths.join(", "))]
pub struct StopTimeout {
    /// The deadline.
    pub deadline: Duration,
    /// Who had not stopped by then.
    pub paths: Vec<String>,
}

/// A running supervision tree. Dropping it kills the tree without order.
#[derive(Debug)]
pub struct Root {
    launched: Option<Launched>,
    entry: Arc<Entry>,
    tree: Arc<Tree>,
    last_word: Arc<OnceLock<GaveUp>>,
}

impl Root {
    /// Starts `spec` under the path `id` and waits until everybody has started.
    pub async fn start(id: &str, spec: SupervisorSpec, tree: Arc<Tree>) -> Result<Self, StartError> {
        spec.validate().map_err(|error| StartError::new(id, error))?;
        let entry = tree.enter(id);
        entry.set(ActorState::Starting);
        let launch =
            Launch { tree: Arc::clone(&tree), entry: Arc::clone(&entry), stopping: CancellationToken::new() };
        let last_word = Arc::default();
        let slot = Slot::new(supervisor::MAILBOX_MAX);
        let launched =
            supervisor::launch(Kind::Fixed(Arc::new(spec)), slot, launch, None, Some(Arc::clone(&last_word)))
                .await?;
        Ok(Self { launched: Some(launched), entry, tree, last_word })
    }

    /// Who runs below.
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// Waits until the root has ended. May be cancelled and called again.
    pub async fn wait(&mut self) -> Exit {
        if let Some(launched) = &mut self.launched {
            // A supervisor that panicked has ended as well; it leaves no last word.
            let _ = (&mut launched.task).await;
            self.launched = None;
            self.entry.retire();
        }
        match self.last_word.get() {
            Some(GaveUp { path, cause }) => Exit::GaveUp { path: path.clone(), cause: cause.clone() },
            None => Exit::Stopped,
        }
    }

    /// Stops everything in reverse start order; what has not stopped by `deadline` is killed.
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
        self.entry.retire();
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
