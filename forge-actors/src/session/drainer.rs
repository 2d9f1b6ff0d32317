//! The drainer: closes the sessions in order when the node shuts down, or has no reactor any more.
//!
//! ```text
//!   open ──no reactor for REACTOR_DOWN_MAX──▶ lost: sessions are closed with 1013, upgrades are answered 503
//!     │ ▲                                       │
//!     │ └────────the reactor runs again─────────┘
//!     └──stop──▶ draining: `goAway` is sent ──all sessions have ended, or the time is up──▶ stopped
//! ```
//!
//! The gateway's supervisor stops the drainer before the sessions. So each session ends by itself, its last
//! mutation answered, before the sessions that stayed are cut off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::{DRAIN_AGAIN_AFTER, DRAINER_ID, REACTOR_CHECK_INTERVAL, REACTOR_DOWN_MAX};
use super::shared::SessionShared;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Shutdown, Timer};

#[derive(forge_app_macros::Message)]
pub(super) enum DrainerMessage {
    CheckReactor,
}

/// The actor that drains the sessions.
pub(super) struct SessionDrainer {
    shared: Arc<SessionShared>,
}

pub(super) struct DrainerState {
    reactor_down_since: Option<Instant>,
    _checks: Timer,
}

impl SessionDrainer {
    pub(super) fn spec(shared: Arc<SessionShared>) -> ChildSpec {
        let timeout = drain_timeout(&shared);
        let mut spec = ChildSpec::unaddressed(DRAINER_ID, move || Self { shared: Arc::clone(&shared) });
        spec.shutdown = Shutdown::Deadline(timeout + secs(1));
        spec
    }

    fn check_reactor(&self, state: &mut DrainerState) {
        if self.shared.deps.reactor.is_running() {
            state.reactor_down_since = None;
            self.shared.reactor_found();
        } else if state.reactor_down_since.get_or_insert_with(Instant::now).elapsed() >= REACTOR_DOWN_MAX {
            self.shared.reactor_lost();
        }
    }
}

/// The longest that a drain takes: clients have `sessions.go_away_after` to leave, then their mutations have
/// as long as any call of a node that shuts down.
fn drain_timeout(shared: &SessionShared) -> Duration {
    shared.deps.config.go_away_after + shared.deps.functions.drain_timeout()
}

impl Actor for SessionDrainer {
    type Message = DrainerMessage;
    type State = DrainerState;
    const KIND: &'static str = "session_drainer";

    async fn start(&self, cx: &Context<DrainerMessage>) -> Result<DrainerState, ActorError> {
        self.shared.sockets.reopen();
        self.shared.reactor_found();
        let checks = cx.send_every(REACTOR_CHECK_INTERVAL, || DrainerMessage::CheckReactor);
        Ok(DrainerState { reactor_down_since: None, _checks: checks })
    }

    async fn handle(
        &self,
        _: &Context<DrainerMessage>,
        message: DrainerMessage,
        state: &mut DrainerState,
    ) -> Result<(), ActorError> {
        match message {
            DrainerMessage::CheckReactor => self.check_reactor(state),
        }
        Ok(())
    }

    async fn stop(&self, _: &Context<DrainerMessage>, _: &mut DrainerState) {
        let drained = async {
            loop {
                self.shared.drain();
                if tokio::time::timeout(DRAIN_AGAIN_AFTER, self.shared.sockets.wait()).await.is_ok() {
                    return;
                }
            }
        };
        if tokio::time::timeout(drain_timeout(&self.shared), drained).await.is_err() {
            tracing::warn!(
                sessions = self.shared.sockets.len(),
                "session drain timed out: the remaining sessions are closed"
            );
        }
    }
}
