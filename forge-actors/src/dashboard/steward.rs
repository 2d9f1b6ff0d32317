//! Carries out what would cut off its own answer: the restart of what orders and answers travel by.
//!
//! ```text
//!   handler ──leave──▶ deferred orders ──▶ steward ── ANSWER_GRACE ──▶ the actor's supervisor
//!      └── answers "accepted"
//! ```
//!
//! How it ended is in the journal of the actor, and in the log when it failed: nobody waits for it any more.
//! Orders that wait when the node stops are forgotten.

use std::time::Duration;

use crate::app::node::{DeferredOrder, NodeView};
use crate::dashboard::control;
use crate::kernel::time::millis;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Never};

/// Time for the answer, and the audit's second row, to leave.
const ANSWER_GRACE: Duration = millis(300);

/// The actor.
pub struct Steward {
    view: NodeView,
}

impl Steward {
    /// The child that carries out what is left in `view`.
    pub fn spec(view: NodeView) -> ChildSpec {
        ChildSpec::actor("steward", move || Self { view: view.clone() }).0
    }
}

impl Actor for Steward {
    type Message = Never;
    type State = ();
    const KIND: &'static str = "steward";

    async fn start(&self, cx: &Context<Never>) -> Result<(), ActorError> {
        let view = self.view.clone();
        cx.spawn("orders", async move {
            loop {
                let orders = view.deferred.take().await;
                tokio::time::sleep(ANSWER_GRACE).await;
                for DeferredOrder { path, stop } in orders {
                    match control::carry_out(&view.tree, &path, stop).await {
                        Ok(()) => tracing::info!(path, stop, "carried out what was ordered"),
                        Err(fault) => tracing::warn!(path, stop, ?fault, "what was ordered was not done"),
                    }
                }
            }
        });
        Ok(())
    }

    async fn handle(&self, _: &Context<Never>, message: Never, (): &mut ()) -> Result<(), ActorError> {
        match message {}
    }
}
