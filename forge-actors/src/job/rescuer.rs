//! The rescuer: returns the jobs whose lease has run out, whichever node held them. It runs on every node;
//! the statement lets each job be returned once.
//!
//! While the database is away no node can renew its leases, so for as long as a lease lasts after an outage
//! no job is taken from any node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::JobShared;
use super::signals;
use crate::change::Hint;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

/// Between two runs.
const RESCUE_EVERY: Duration = secs(1);

/// Messages of the rescuer.
#[derive(forge_app_macros::Message)]
pub(super) enum RescuerMessage {
    /// Returns the jobs whose lease has run out.
    Rescue,
}

pub(super) struct Rescuer {
    shared: Arc<JobShared>,
}

pub(super) struct RescuerState {
    /// Until then the owners of leases that have run out may not have been able to renew them.
    not_before: Instant,
    timer: Timer,
}

impl Rescuer {
    pub(super) fn spec(shared: Arc<JobShared>) -> ChildSpec {
        ChildSpec::unaddressed("rescuer", move || Self { shared: Arc::clone(&shared) })
    }

    async fn rescue(&self, state: &mut RescuerState) {
        let now = Instant::now();
        if !self.shared.database.state().borrow().is_up() {
            state.not_before = now + self.shared.config.lease;
        }
        if now < state.not_before {
            return;
        }
        match self.shared.store.rescue().await {
            Ok(rescued) if rescued.count() == 0 => {}
            Ok(rescued) => {
                metrics::counter!(signals::JOBS_RESCUED_TOTAL).increment(rescued.count() as u64);
                tracing::warn!(
                    retried = rescued.retried,
                    returned = rescued.returned,
                    dead = rescued.dead,
                    "jobs of a lost node are run again; returned ones had not begun and lost no attempt, \
                     dead ones had no attempt left"
                );
                self.shared.hints.publish(Hint::of(rescued.queues));
            }
            Err(fault) => {
                tracing::warn!(?fault, "rescue of jobs whose lease has run out failed; trying again");
                state.not_before = now + self.shared.config.lease;
            }
        }
    }
}

impl Actor for Rescuer {
    type Message = RescuerMessage;
    type State = RescuerState;
    const KIND: &'static str = "rescuer";

    async fn start(&self, cx: &Context<RescuerMessage>) -> Result<RescuerState, ActorError> {
        let timer = cx.send_after(RESCUE_EVERY, RescuerMessage::Rescue);
        Ok(RescuerState { not_before: Instant::now(), timer })
    }

    async fn handle(
        &self,
        cx: &Context<RescuerMessage>,
        message: RescuerMessage,
        state: &mut RescuerState,
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
