//! Restarting and stopping one actor of a running tree on request.
//!
//! Both go through the actor's own supervisor, as every start and end of an actor does, so the order of
//! stops, the deadlines and the journal are the same. A restart on request does not count in the restart
//! budget. A child of a fixed supervisor that is stopped on request stays in the tree as stopped and can be
//! restarted (OTP's `terminate_child`); a dynamic child is removed.

use std::time::Duration;

use super::address::{Address, Reply};
use super::dynamic::ChildError;
use super::supervisor::SupervisorCommand;
use super::tree::Tree;

/// Why an actor was neither restarted nor stopped.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The tree has no actor of that path.
    #[error("there is no actor `{path}`")]
    Unknown {
        /// The path that was asked for.
        path: String,
    },
    /// The root has no supervisor: it ends with its process.
    #[error("`{path}` is the root of the tree, which only ends with its node")]
    Root {
        /// The path that was asked for.
        path: String,
    },
    /// Its supervisor refused the request, or it failed.
    #[error(transparent)]
    Child(#[from] ChildError),
}

impl Tree {
    /// Stops the actor at `path` and starts it again; waits until it has started.
    ///
    /// # Errors
    /// [`ControlError`]: no such actor, the root, a temporary child, a start that failed, or no answer within
    /// `deadline`.
    pub async fn restart_actor(&self, path: &str, deadline: Duration) -> Result<(), ControlError> {
        self.command(path, deadline, |id, reply| SupervisorCommand::RestartChild { id, reply }).await
    }

    /// Stops the actor at `path`; waits until it has ended.
    ///
    /// # Errors
    /// [`ControlError`]: no such actor, the root, or no answer within `deadline`.
    pub async fn stop_actor(&self, path: &str, deadline: Duration) -> Result<(), ControlError> {
        self.command(path, deadline, |id, reply| SupervisorCommand::StopChild { id, reply }).await
    }

    async fn command(
        &self,
        path: &str,
        deadline: Duration,
        command: impl FnOnce(String, Reply<Result<(), ChildError>>) -> SupervisorCommand,
    ) -> Result<(), ControlError> {
        if self.get(path).is_none() {
            return Err(ControlError::Unknown { path: path.to_owned() });
        }
        let Some((parent, id)) = path.rsplit_once('/') else {
            return Err(ControlError::Root { path: path.to_owned() });
        };
        let supervisor: Address<SupervisorCommand> =
            self.commands(parent).ok_or_else(|| ControlError::Unknown { path: path.to_owned() })?;
        let done = supervisor.call(|reply| command(id.to_owned(), reply), deadline).await;
        Ok(done.map_err(ChildError::Call)??)
    }
}
