//! Where sessions end that must not be used again: their backends are told to stop, so that no statement runs
//! on and no lock stays.
//!
//! Closing the socket is enough for a backend that waits for a command. One that runs a statement reads its
//! socket only now and then (`client_connection_check_interval`), so it is terminated through the control
//! pool. Cancelling would leave a gap: a request that is still in the socket's buffer starts after the cancel
//! was delivered; termination has no such gap. At most `DISPOSALS_MAX` run at once; beyond that the socket is
//! closed and the server's own check ends the backend.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::pool::{Pool, WeakPool};
use super::session::{Activity, BackendPid, Session};

/// Sessions whose backends are being terminated at the same time.
const DISPOSALS_MAX: usize = 64;
/// How long a termination may take before only the socket is closed.
const DISPOSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Ends discarded sessions; owns the tasks that do.
#[derive(Debug)]
pub(super) struct Disposal {
    tasks: TaskTracker,
    slots: Arc<Semaphore>,
    /// Weak, because every pool reaches this value in turn.
    control: OnceLock<WeakPool>,
}

impl Disposal {
    pub(super) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(DISPOSALS_MAX)),
            control: OnceLock::new(),
        }
    }

    /// Names the pool that terminations go through.
    pub(super) fn set_control(&self, control: &Pool) {
        self.control.get_or_init(|| control.downgrade());
    }

    /// Ends `session` soon, without making the caller wait.
    pub(super) fn discard(&self, session: Session) {
        tracing::debug!(pid = session.pid().0, activity = ?session.activity(), "a database session is discarded");
        if session.activity() != Activity::Busy {
            return;
        }
        let (Some(control), Ok(slot), Ok(runtime)) = (
            self.control.get().and_then(WeakPool::upgrade),
            Arc::clone(&self.slots).try_acquire_owned(),
            Handle::try_current(),
        ) else {
            return;
        };
        self.tasks.spawn_on(
            async move {
                let outcome = tokio::time::timeout(DISPOSAL_TIMEOUT, terminate(&control, session.pid())).await;
                match outcome {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(pid = session.pid().0, %error, "a backend could not be terminated; its socket is closed")
                    }
                    Err(_) => tracing::debug!(pid = session.pid().0, "terminating a backend took too long; its socket is closed"),
                }
                // Kept open until here, so that the pid cannot belong to anybody else.
                drop(session);
                drop(slot);
            },
            &runtime,
        );
    }

    /// Waits until every discarded session is gone.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

async fn terminate(control: &Pool, pid: BackendPid) -> sqlx::Result<()> {
    control.acquire().await?.run_one("SELECT pg_terminate_backend($1)", pid).await
}
