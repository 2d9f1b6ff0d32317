//! The handle of a dynamic supervisor: children come, go and are listed at run time.

use std::time::Duration;

use super::address::{Address, CallError};
use super::launch::StartError;
use super::spec::{ChildSpec, SpecError};
use super::supervisor::Order;

/// Starts and stops the children of one dynamic supervisor.
///
/// A child that ends for good (every end of a temporary one, a normal end of a transient one) vanishes, also
/// from the tree. When the supervisor itself restarts, it starts empty.
#[derive(Debug, Clone)]
pub struct Children {
    address: Address<Order>,
}

impl Children {
    pub(super) fn new(address: Address<Order>) -> Self {
        Self { address }
    }

    /// Adds a child and waits until it has started. When the deadline passes first, the child does not stay.
    pub async fn start_child(&self, spec: ChildSpec, deadline: Duration) -> Result<(), ChildError> {
        spec.validate()?;
        self.address.call(|reply| Order::StartChild { spec, reply }, deadline).await?
    }

    /// Stops a child and forgets it.
    pub async fn stop_child(&self, id: &str, deadline: Duration) -> Result<(), ChildError> {
        self.address.call(|reply| Order::StopChild { id: id.to_owned(), reply }, deadline).await?
    }

    /// Stops a child and starts it again at once; the budget does not count it.
    pub async fn restart_child(&self, id: &str, deadline: Duration) -> Result<(), ChildError> {
        self.address.call(|reply| Order::RestartChild { id: id.to_owned(), reply }, deadline).await?
    }

    /// Ids of the children, in the order they were added.
    pub async fn list(&self, deadline: Duration) -> Result<Vec<String>, CallError> {
        self.address.call(|reply| Order::ListChildren { reply }, deadline).await
    }
}

/// Why a dynamic supervisor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It has as many children as it may.
    #[error("the supervisor has {children_max} children already, which is its limit")]
    Full {
        /// The limit.
        children_max: usize,
    },
    /// No child of that id.
    #[error("the supervisor has no child `{id}`")]
    Unknown {
        /// The id.
        id: String,
    },
    /// A temporary child lives once.
    #[error("`{id}` is temporary and does not start again: stop it, and who needs it starts another")]
    Temporary {
        /// The id.
        id: String,
    },
    /// The spec cannot be a child here.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The child did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The supervisor could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}
