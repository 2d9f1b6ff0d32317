//! What a person may ask of a running tree: restart an actor, or stop it.
//!
//! Both go through the actor's own supervisor, like everything else that starts or ends an actor, so the
//! order of stops, the deadlines and the journal are the same. A restart on request costs nothing of the
//! budget. What a fixed supervisor stops on request stays in the tree, stopped, and can be restarted (OTP's
//! `terminate_child`); a dynamic child is gone.

use std::time::Duration;

use super::address::{Address, Reply};
use super::dynamic::ChildError;
use super::supervisor::Order;
use super::tree::Tree;

/// Why an actor was neither restarted nor stopped.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody is known by that path.
    #[error("there is no actor `{path}`")]
    Unknown {
        /// The path.
        path: String,
    },
    /// Nobody supervises the root: it ends with its process.
    #[error("`{path}` is the root of the tree, which only ends with its node")]
    Root {
        /// The path.
        path: String,
    },
    /// Its supervisor did not do it.
    #[error(transparent)]
    Child(#[from] ChildError),
}

impl Tree {
    /// Stops the actor at `path` and starts it again; waits until it has started.
    pub async fn restart_actor(&self, path: &str, deadline: Duration) -> Result<(), ControlError> {
        self.order(path, deadline, |id, reply| Order::RestartChild { id, reply }).await
    }

    /// Stops the actor at `path`; waits until it has ended.
    pub async fn stop_actor(&self, path: &str, deadline: Duration) -> Result<(), ControlError> {
        self.order(path, deadline, |id, reply| Order::StopChild { id, reply }).await
    }

    async fn order(
        &self,
        path: &str,
        deadline: Duration,
        order: impl FnOnce(String, Reply<Result<(), ChildError>>) -> Order,
    ) -> Result<(), ControlError> {
        if self.get(path).is_none() {
            return Err(ControlError::Unknown { path: path.to_owned() });
        }
        let Some((above, id)) = path.rsplit_once('/') else {
            return Err(ControlError::Root { path: path.to_owned() });
        };
        let supervisor: Address<Order> =
            self.orders(above).ok_or_else(|| ControlError::Unknown { path: path.to_owned() })?;
        let done = supervisor.call(|reply| order(id.to_owned(), reply), deadline).await;
        Ok(done.map_err(ChildError::Call)??)
    }
}
