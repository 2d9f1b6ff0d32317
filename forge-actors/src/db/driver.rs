//! The runtime whose reactor and timers serve the connections of a database.
//!
//! A socket belongs to the runtime on which it was opened: only that runtime notices that there is something
//! to read. Handlers run on threads of their own, which they may block. A connection that a handler opened on
//! its own runtime would be dead for its next user while handlers block, and that user may be a lease. So all
//! connections belong to the runtime on which the database was made.

use std::future::poll_fn;
use std::pin::pin;

use tokio::runtime::Handle;

/// The runtime of one database. Empty when the database was made outside of one; then each connection belongs
/// to the runtime of the caller that opened it.
#[derive(Debug, Clone)]
pub(super) struct Driver(Option<Handle>);

impl Driver {
    /// The runtime of the caller.
    pub(super) fn of_caller() -> Self {
        Self(Handle::try_current().ok())
    }

    /// Runs `future` in the caller's task; its sockets and timers belong to this runtime.
    pub(super) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _entered = self.0.as_ref().map(Handle::enter);
            future.as_mut().poll(cx)
        })
        .await
    }

    /// The runtime for tasks; that of the caller for a database that has none.
    pub(super) fn handle(&self) -> Option<Handle> {
        self.0.clone().or_else(|| Handle::try_current().ok())
    }
}
