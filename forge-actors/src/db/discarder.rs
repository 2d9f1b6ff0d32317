//! Ends the sessions that must not be used again, and terminates their backends, so that no statement keeps
//! running and no lock stays.
//!
//! Closing the socket is enough for a backend that waits for a command. A backend that runs a statement reads
//! its socket only now and then (`client_connection_check_interval`), so it is terminated through the control
//! pool. Cancelling would leave a gap: a request that is still in the socket's buffer starts after the cancel
//! was delivered; a termination has no such gap. At most `TERMINATIONS_MAX` run at once; beyond that only the
//! socket is closed, and the server's own check ends the backend.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::driver::Driver;
use super::session::{Activity, BackendPid, Session};
use crate::kernel::error_chain::error_chain;

/// Backends that are being terminated at the same time.
const TERMINATIONS_MAX: usize = 64;
/// Time for one termination; after it only the socket is closed.
const TERMINATION_TIMEOUT: Duration = Duration::from_secs(2);

/// Terminates a backend; `None` when the pool that it would go through is closed.
pub(super) type Terminate = dyn Fn(BackendPid) -> Option<BoxFuture<'static, sqlx::Result<()>>> + Send + Sync;

/// Ends discarded sessions, and owns the tasks that do so.
pub(super) struct Discarder {
    /// Runs the terminations: a handler that drops a session may block its own runtime at once.
    driver: Driver,
    tasks: TaskTracker,
    permits: Arc<Semaphore>,
    /// Set once, by the database whose pools hand their sessions to this value.
    terminate: OnceLock<Box<Terminate>>,
}

impl Discarder {
    pub(super) fn new(driver: Driver) -> Self {
        Self {
            driver,
            tasks: TaskTracker::new(),
            permits: Arc::new(Semaphore::new(TERMINATIONS_MAX)),
            terminate: OnceLock::new(),
        }
    }

    /// Says how backends are terminated. `terminate` must not keep a pool alive, because each pool owns this
    /// value.
    pub(super) fn terminate_with(&self, terminate: Box<Terminate>) {
        self.terminate.get_or_init(|| terminate);
    }

    /// Ends `session` in the background; the caller does not wait.
    pub(super) fn discard(&self, session: Session) {
        tracing::debug!(pid = session.pid().0, activity = ?session.activity(), "database session discarded");
        if session.activity() != Activity::Busy {
            return;
        }
        let pid = session.pid();
        let (Some(terminating), Ok(permit), Some(runtime)) = (
            self.terminate.get().and_then(|terminate| terminate(pid)),
            Arc::clone(&self.permits).try_acquire_owned(),
            self.driver.handle(),
        ) else {
            return;
        };
        self.tasks.spawn_on(
            async move {
                match tokio::time::timeout(TERMINATION_TIMEOUT, terminating).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(
                            pid = pid.0,
                            error = error_chain(&error),
                            "terminating a backend failed"
                        )
                    }
                    Err(_) => {
                        tracing::debug!(pid = pid.0, "terminating a backend timed out")
                    }
                }
                // The session stays open until here, so that its pid cannot belong to another backend before.
                drop(session);
                drop(permit);
            },
            &runtime,
        );
    }

    /// Waits until every discarded session is closed.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

impl fmt::Debug for Discarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discarder").field("terminating", &self.tasks.len()).finish_non_exhaustive()
    }
}
