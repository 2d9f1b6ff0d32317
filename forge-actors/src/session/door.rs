//! The door: lets clients in while the node can serve them, and sees them out when it cannot.
//!
//! ```text
//!   open ──no reactor for REACTOR_PATIENCE──▶ shut: who is in is closed with 1013, who comes is answered 503
//!     │ ▲                                       │
//!     │ └────────the reactor runs again─────────┘
//!     └──drain──▶ draining: who is in is told to go ──all have left, or the time is up──▶ stopped
//! ```
//!
//! The gateway's supervisor stops the door before the sessions, so that each has left by itself, its last
//! mutation answered, before those that stayed are cut off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::{DOOR_LOOK_EVERY, REACTOR_PATIENCE};
use super::messages::Shared;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Shutdown, Timer};

#[derive(forge_app_macros::Message)]
pub(super) enum DoorMessage {
    /// See whether the reactor runs.
    Look,
}

pub(super) struct Door {
    shared: Arc<Shared>,
}

pub(super) struct Watch {
    /// Since when the reactor is not running.
    missed: Option<Instant>,
    _look: Timer,
}

impl Door {
    pub(super) fn spec(shared: Arc<Shared>) -> ChildSpec {
        let patience = farewell(&shared);
        let (mut spec, _address) = ChildSpec::actor("door", move || Self { shared: Arc::clone(&shared) });
        spec.shutdown = Shutdown::Deadline(patience + secs(1));
        spec
    }

    fn look(&self, watch: &mut Watch) {
        if self.shared.reactor.is_running() {
            watch.missed = None;
            self.shared.unshut();
        } else if watch.missed.get_or_insert_with(Instant::now).elapsed() >= REACTOR_PATIENCE {
            self.shared.shut();
        }
    }
}

/// The longest that clients have to leave: after the time that they were told, their mutations get as much as
/// any call of a node that stops.
fn farewell(shared: &Shared) -> Duration {
    shared.config.go_away_after + shared.functions.drain_timeout()
}

impl Actor for Door {
    type Message = DoorMessage;
    type State = Watch;
    const KIND: &'static str = "door";

    async fn start(&self, cx: &Context<DoorMessage>) -> Result<Watch, ActorError> {
        self.shared.sockets.reopen();
        self.shared.unshut();
        Ok(Watch { missed: None, _look: cx.send_after(DOOR_LOOK_EVERY, DoorMessage::Look) })
    }

    async fn handle(
        &self,
        cx: &Context<DoorMessage>,
        message: DoorMessage,
        watch: &mut Watch,
    ) -> Result<(), ActorError> {
        match message {
            DoorMessage::Look => self.look(watch),
        }
        watch._look = cx.send_after(DOOR_LOOK_EVERY, DoorMessage::Look);
        Ok(())
    }

    async fn stop(&self, _: &Context<DoorMessage>, _: &mut Watch) {
        self.shared.drain();
        if tokio::time::timeout(farewell(&self.shared), self.shared.sockets.wait()).await.is_err() {
            tracing::warn!(
                sessions = self.shared.sockets.len(),
                "clients have not left in time, or their mutations still run: they are cut off"
            );
        }
    }
}
