//! The actor of a run that is active: it owns the task in which the run's function is executed, and ends with
//! it.
//!
//! ```text
//!   claimed ─▶ journal loaded ─▶ function ─┬─ returned ──▶ ended
//!                                          ├─ waits ─────▶ left
//!                                          ├─ differs from its journal ─▶ left (diverged)
//!                                          └─ failed · time limit · cancel ─▶ ending written
//!                                                               ─▶ compensating ─▶ ended
//! ```
//!
//! An activation that ends in any other way (its actor is killed, its task panics) gives its run back: it is
//! claimed again, and goes on from its journal.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::activation::Activation;
use super::messages::InstanceMessage;
use super::rows::ClaimedRun;
use super::shared::WorkflowShared;
use crate::kernel::merge_slot::MergeSlot;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Restart};

pub(super) struct Instance {
    shared: Arc<WorkflowShared>,
    /// Taken at the start.
    activation: MergeSlot<Activation>,
}

impl Instance {
    /// The actor of a run that was claimed.
    pub(super) fn spec(shared: Arc<WorkflowShared>, claimed: ClaimedRun) -> ChildSpec {
        let id = claimed.id.to_string();
        let activation = Arc::new(MergeSlot::new());
        activation.put(|slot| *slot = Some(Activation::new(Arc::clone(&shared), claimed)));
        let make = move || {
            let taken = MergeSlot::new();
            if let Some(activation) = activation.try_take() {
                taken.put(|slot| *slot = Some(activation));
            }
            Self { shared: Arc::clone(&shared), activation: taken }
        };
        let mut spec = ChildSpec::unaddressed(id, make);
        spec.restart = Restart::Temporary;
        spec
    }
}

impl Actor for Instance {
    type Message = InstanceMessage;
    type State = ();
    const KIND: &'static str = "run";
    const MAILBOX_MAX: usize = 16;

    async fn start(&self, cx: &Context<InstanceMessage>) -> Result<(), ActorError> {
        let Some(activation) = self.activation.try_take() else {
            return Err("a run is activated once".into());
        };
        let task = self.shared.functions.spawn_attempts(activation.run());
        let task = AbortOnDropHandle::new(task);
        cx.spawn_message("function", async move {
            if let Err(error) = task.await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
            InstanceMessage::Ended
        });
        Ok(())
    }

    async fn handle(
        &self,
        cx: &Context<InstanceMessage>,
        message: InstanceMessage,
        (): &mut (),
    ) -> Result<(), ActorError> {
        match message {
            InstanceMessage::Ended => cx.stop("the activation has ended"),
        }
        Ok(())
    }
}
