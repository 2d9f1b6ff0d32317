//! Carries out commands that would cut off their own answer: restarts of the actors that carry commands.
//!
//! ```text
//!   handler ──add──▶ DeferredCommands ──▶ restarter ── ANSWER_GRACE ──▶ the actor's supervisor
//!      └── answers "accepted"
//! ```
//!
//! The result is in the journal of the actor, and in the log when the command failed, since its caller has
//! its answer already. Commands that wait when the node stops are dropped.

use std::time::Duration;

use crate::app::node::{DeferredCommand, NodeView};
use crate::dashboard::control;
use crate::kernel::error_chain::error_chain;
use crate::kernel::time::millis;
use crate::supervise::{ActorError, ChildSpec};

/// Time for the command's answer, and the second row of its audit, to be sent.
const ANSWER_GRACE: Duration = millis(300);

/// The child that carries out the commands that `view` collects.
pub(super) fn child(id: &str, view: NodeView) -> ChildSpec {
    ChildSpec::task(id, move || run(view.clone()))
}

async fn run(view: NodeView) -> Result<(), ActorError> {
    loop {
        let commands = view.deferred.take().await;
        tokio::time::sleep(ANSWER_GRACE).await;
        for DeferredCommand { path, stop } in commands {
            match control::carry_out(&view, &path, stop).await {
                Ok(()) => tracing::info!(path, stop, "deferred command carried out"),
                Err(fault) => {
                    tracing::warn!(path, stop, error = error_chain(&fault), "deferred command failed");
                }
            }
        }
    }
}
