//! The handle of a dynamic supervisor: it starts, stops, restarts and lists children at run time.

use std::time::Duration;

use super::address::{ActorCallError, Address};
use super::launch::StartError;
use super::spec::{ChildSpec, SpecError};
use super::supervisor::SupervisorCommand;

/// Starts and stops the children of one dynamic supervisor.
///
/// A child that is not restarted (every end of a temporary child, a normal end of a transient one) is
/// removed, also from the tree. When the supervisor itself restarts, it starts without children.
#[derive(Debug, Clone)]
pub struct Children {
    address: Address<SupervisorCommand>,
}

impl Children {
    pub(super) fn new(address: Address<SupervisorCommand>) -> Self {
        Self { address }
    }

    /// Adds a child and waits until it has started. When `deadline` passes first, the child is removed again.
    ///
    /// # Errors
    /// [`ChildError`]: the spec is wrong, the supervisor is full, or the child did not start in time.
    pub async fn start_child(&self, spec: ChildSpec, deadline: Duration) -> Result<(), ChildError> {
        spec.validate()?;
        self.address.call(|reply| SupervisorCommand::StartChild { spec, reply }, deadline).await?
    }

    /// Stops a child and removes it.
    ///
    /// # Errors
    /// [`ChildError`]: no such child, or no answer within `deadline`.
    pub async fn stop_child(&self, id: &str, deadline: Duration) -> Result<(), ChildError> {
        self.address.call(|reply| SupervisorCommand::StopChild { id: id.to_owned(), reply }, deadline).await?
    }

    /// Stops a child and starts it again at once, which does not count in the restart budget.
    ///
    /// # Errors
    /// [`ChildError`]: no such child, a temporary one, or one that did not start again.
    pub async fn restart_child(&self, id: &str, deadline: Duration) -> Result<(), ChildError> {
        self.address
            .call(|reply| SupervisorCommand::RestartChild { id: id.to_owned(), reply }, deadline)
            .await?
    }

    /// Ids of the children, in the order in which they were added.
    ///
    /// # Errors
    /// [`ActorCallError`]: the supervisor is down, or did not answer within `deadline`.
    pub async fn list(&self, deadline: Duration) -> Result<Vec<String>, ActorCallError> {
        self.address.call(|reply| SupervisorCommand::ListChildren { reply }, deadline).await
    }
}

/// Why a supervisor refused a request about a child, or failed at it.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The supervisor has as many children as its spec allows.
    #[error("the supervisor has {children_max} children already, which is its limit")]
    Full {
        /// The limit.
        children_max: usize,
    },
    /// The supervisor has no child of that id.
    #[error("the supervisor has no child `{id}`")]
    Unknown {
        /// The id that was asked for.
        id: String,
    },
    /// A temporary child is never started again.
    #[error("`{id}` is a temporary child, which never starts again: it can only be stopped")]
    Temporary {
        /// The id that was asked for.
        id: String,
    },
    /// The spec of the new child is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The child did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The supervisor did not answer.
    #[error(transparent)]
    Call(#[from] ActorCallError),
}
