//! Starting and ending one child: what passes between a supervisor and the hosts of its children.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, SpawnErr};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::actor::ActorError;
use super::spec::{KILL_DEADLINE, Shutdown};
use super::tree::{Entry, Tree};

/// Where a child is started.
pub(super) struct Launch {
    pub(super) tree: Arc<Tree>,
    pub(super) entry: Arc<Entry>,
    /// Cancelled when the supervisor is asked to stop, so that a slow start does not hold up its end.
    pub(super) stopping: CancellationToken,
}

/// A child that runs.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) cell: ActorCell,
    /// Ends after everything that the actor owned is dropped, which is later than its last supervision event.
    pub(super) task: JoinHandle<()>,
    /// Set for supervisors: cuts their pending starts.
    pub(super) stopping: Option<CancellationToken>,
}

/// A child did not start, and with it those that needed it.
#[derive(Debug)]
pub struct StartError {
    /// The deepest path that failed.
    pub path: String,
    /// What its `start` returned: downcast it to the actor's own error, or to [`Panic`](super::Panic),
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

    /// From ractor's error; a supervisor hands up the error of the child that failed.
    pub(super) fn refused(path: &str, error: SpawnErr) -> Self {
        match error {
            SpawnErr::StartupFailed(source) => match source.downcast::<StartError>() {
                Ok(below) => *below,
                Err(source) => Self::new(path, source),
            },
            other => Self::new(path, other),
        }
    }
}

/// A start that was given up before it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartCut {
    /// It took longer than its deadline.
    #[error("the start took longer than {}", crate::kernel::time::format_duration(*.0))]
    TooSlow(Duration),
    /// The supervisor was asked to stop meanwhile.
    #[error("the supervisor stops")]
    SupervisorStops,
}

/// Ends a child and waits for it: stop, wait, kill, wait. `true` when it had to be killed.
///
/// ractor's own `stop_and_wait` returns at once when a stop is under way already, so the task is awaited
/// instead.
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
    // ractor kills what is below, but neither waits for it nor reaches who hangs in its own stop. The list
    // must be taken while the links are there.
    let below = descendants(&cell);
    cell.kill();
    below.iter().for_each(ActorCell::kill);
    let ended = async {
        // A task that panicked has ended as well.
        let _ = (&mut task).await;
        for cell in below {
            // `wait` without a limit fails never; the limit is the one around it.
            let _ = cell.wait(None).await;
        }
    };
    if timeout(KILL_DEADLINE, ended).await.is_err() {
        tracing::error!(actor = %cell.get_id(), "a killed actor blocks its thread and is left behind");
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
