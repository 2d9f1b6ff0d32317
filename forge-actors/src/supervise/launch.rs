//! Starting and ending one child: the values that pass between a supervisor and the hosts of its children.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, SpawnErr};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::actor::ActorError;
use super::entry::TreeEntry;
use super::spec::{KILL_DEADLINE, Shutdown};
use super::tree::Tree;

/// Where a child is started: its tree and its entry there.
pub(super) struct Launch {
    pub(super) tree: Arc<Tree>,
    pub(super) entry: Arc<TreeEntry>,
    /// Cancelled when the supervisor is asked to stop, so that a slow start does not delay the stop.
    pub(super) stopping: CancellationToken,
}

/// A child whose start returned.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) cell: ActorCell,
    /// Ends after all values of the actor are dropped, which is later than its last supervision event.
    pub(super) task: JoinHandle<()>,
    /// Set for a supervisor: cancelling it cuts the starts of the supervisor's own children.
    pub(super) stopping: Option<CancellationToken>,
}

/// A child did not start, so its supervisor did not start either.
#[derive(Debug)]
pub struct StartError {
    /// The deepest path that failed.
    pub path: String,
    /// The error of its `start`: downcast it to the actor's own error, or to [`Panic`](super::Panic),
    /// [`StartCut`] or [`SpecError`](super::SpecError).
    pub source: ActorError,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` did not start", self.path)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

impl StartError {
    pub(super) fn new(path: &str, source: impl Into<ActorError>) -> Self {
        Self { path: path.to_owned(), source: source.into() }
    }

    /// From ractor's error. The error of a supervisor's child passes through unchanged, so that it names the
    /// child.
    pub(super) fn from_ractor(path: &str, error: SpawnErr) -> Self {
        match error {
            SpawnErr::StartupFailed(source) => match source.downcast::<StartError>() {
                Ok(below) => *below,
                Err(source) => Self::new(path, source),
            },
            other => Self::new(path, other),
        }
    }
}

/// A start that was cut before it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartCut {
    /// The start took longer than its deadline.
    #[error("the start took longer than {}", crate::kernel::time::format_duration(*.0))]
    TooSlow(Duration),
    /// The supervisor was asked to stop while the child started.
    #[error("the supervisor stops")]
    SupervisorStops,
}

/// Ends a child and waits for its end: stop, wait, kill, wait. `true` when the child had to be killed.
///
/// The task is awaited, because ractor's own `stop_and_wait` returns at once when a stop is under way
/// already.
pub(super) async fn terminate(child: Launched, shutdown: Shutdown) -> bool {
    let Launched { cell, mut task, stopping } = child;
    if let Shutdown::Deadline(deadline) = shutdown {
        if let Some(stopping) = stopping {
            stopping.cancel();
        }
        cell.stop(None);
        if timeout(deadline, &mut task).await.is_ok() {
            return false;
        }
    }
    // ractor kills the actors below a killed supervisor, but it neither waits for them nor reaches an actor
    // that hangs in its own stop. The list must be taken before the kill, which removes the links.
    let below = descendants(&cell);
    cell.kill();
    below.iter().for_each(ActorCell::kill);
    let ended = async {
        // An error says that the task panicked: it has ended as well.
        let _ = (&mut task).await;
        for cell in below {
            // `wait` without a deadline never fails; the deadline is the one of the whole block.
            let _ = cell.wait(None).await;
        }
    };
    if timeout(KILL_DEADLINE, ended).await.is_err() {
        tracing::error!(actor = %cell.get_id(), "kill failed: the actor blocks its thread");
        task.abort();
    }
    true
}

fn descendants(cell: &ActorCell) -> Vec<ActorCell> {
    let mut all = cell.get_children();
    let mut next = 0;
    while next < all.len() {
        let below = all[next].get_children();
        all.extend(below);
        next += 1;
    }
    all
}
