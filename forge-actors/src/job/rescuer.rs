//! The rescuer: gives jobs back whose lease has run out. It runs on every node; the statement lets each job
//! be given back once.
//!
//! While the database was away nobody could renew, so for as long as a lease lasts after that nothing is
//! taken from anybody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::Room;
use super::signals;
use crate::change::Hint;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

/// Between two looks.
const RESCUE_EVERY: Duration = secs(1);

/// Messages of the rescuer.
#[derive(forge_app_macros::Message)]
pub(super) enum RescuerMessage {
    /// Look for leases that have run out.
    Rescue,
}

pub(super) struct Rescuer {
    room: Arc<Room>,
}

pub(super) struct State {
    /// Leases that have run out are left alone until then.
    not_before: Instant,
    timer: Timer,
}

impl Rescuer {
    pub(super) fn spec(room: Arc<Room>) -> ChildSpec {
        ChildSpec::actor("rescuer", move || Self { room: Arc::clone(&room) }).0
    }

    async fn rescue(&self, state: &mut State) {
        let now = Instant::now();
        if !self.room.database.state().borrow().is_up() {
            state.not_before = now + self.room.config.lease;
        }
        if now < state.not_before {
            return;
        }
        match self.room.store.rescue().await {
            Ok(rescued) if rescued.again + rescued.unbegun + rescued.dead == 0 => {}
            Ok(rescued) => {
                metrics::counter!(signals::JOBS_RESCUED_TOTAL)
                    .increment((rescued.again + rescued.unbegun + rescued.dead) as u64);
                tracing::warn!(
                    again = rescued.again,
                    unbegun = rescued.unbegun,
                    dead = rescued.dead,
                    "jobs of a lost node are run again; the unbegun ones have lost no attempt, the dead ones had none left"
                );
                self.room.hints.publish(Hint::of(rescued.queues));
            }
            Err(fault) => {
                tracing::warn!(?fault, "leases that have run out were not looked for; trying again");
                state.not_before = now + self.room.config.lease;
            }
        }
    }
}

impl Actor for Rescuer {
    type Message = RescuerMessage;
    type State = State;
    const KIND: &'static str = "rescuer";

    async fn start(&self, cx: &Context<RescuerMessage>) -> Result<State, ActorError> {
        Ok(State { not_before: Instant::now(), timer: cx.send_after(RESCUE_EVERY, RescuerMessage::Rescue) })
    }

    async fn handle(
        &self,
        cx: &Context<RescuerMessage>,
        message: RescuerMessage,
        state: &mut State,
    ) -> Result<(), ActorError> {
        match message {
            RescuerMessage::Rescue => {
                self.rescue(state).await;
                state.timer = cx.send_after(RESCUE_EVERY, RescuerMessage::Rescue);
            }
        }
        Ok(())
    }
}
