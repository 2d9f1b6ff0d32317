//! The router: wakes the runs that wait for events which have come. Every worker node routes; each event is
//! routed by one of them.

use std::sync::Arc;
use std::time::Duration;

use super::messages::{RouterMessage, RunClaimerMessage};
use super::paths::ROUTER;
use super::shared::WorkflowShared;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox};

/// Events of one statement.
const ROUTE_MAX: i64 = 500;
/// Between two attempts to reach a database that does not answer.
const OUTAGE_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(5));

pub(super) struct Router {
    shared: Arc<WorkflowShared>,
}

#[derive(Default)]
pub(super) struct RouterState {
    is_busy: bool,
    has_events: bool,
}

impl Router {
    pub(super) fn spec(shared: Arc<WorkflowShared>, mailbox: Mailbox<RouterMessage>) -> ChildSpec {
        ChildSpec::with_mailbox(ROUTER.id(), mailbox, move || Self { shared: Arc::clone(&shared) })
    }

    fn proceed(&self, cx: &Context<RouterMessage>, state: &mut RouterState) {
        if state.is_busy || !state.has_events {
            return;
        }
        (state.is_busy, state.has_events) = (true, false);
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("route", async move {
            route(&shared).await;
            RouterMessage::Done
        });
    }
}

impl Actor for Router {
    type Message = RouterMessage;
    type State = RouterState;
    const KIND: &'static str = "event_router";

    async fn start(&self, cx: &Context<RouterMessage>) -> Result<RouterState, ActorError> {
        cx.address().cast(RouterMessage::EventsReady)?;
        Ok(RouterState::default())
    }

    async fn handle(
        &self,
        cx: &Context<RouterMessage>,
        message: RouterMessage,
        state: &mut RouterState,
    ) -> Result<(), ActorError> {
        match message {
            RouterMessage::EventsReady => state.has_events = true,
            RouterMessage::Done => state.is_busy = false,
        }
        self.proceed(cx, state);
        Ok(())
    }
}

/// Routes events until none is left.
async fn route(shared: &WorkflowShared) {
    let mut failures = 0;
    loop {
        match shared.store.route(ROUTE_MAX).await {
            Ok(routed) => {
                routed.held.iter().for_each(|run| shared.wake(*run));
                if routed.ready > 0 {
                    shared.claimer.notify(RunClaimerMessage::RunReady);
                }
                if routed.events < ROUTE_MAX.unsigned_abs() {
                    return;
                }
            }
            Err(fault) => {
                if failures == 0 {
                    tracing::warn!(error = error_chain(&fault), "routing events failed; retrying");
                }
                let pause: Duration = OUTAGE_BACKOFF.jittered(failures);
                tokio::time::sleep(pause).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}
