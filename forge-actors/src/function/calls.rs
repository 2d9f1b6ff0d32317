//! The actor `calls`: owns the tasks of all calls, reports calls that outlive their time limit, and drains
//! the calls when it stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::paths::CALLS;
use super::shared::FunctionShared;
use super::signals;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Shutdown, Timer};

/// Between two checks of the running calls.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// After the drain has cancelled its calls: time for their rollbacks.
const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// Messages of the actor.
#[derive(forge_app_macros::Message)]
pub(super) enum CallsMessage {
    /// Publishes how many calls run, and logs those that outlive their time limit.
    Check,
}

/// The actor.
pub(super) struct Calls {
    shared: Arc<FunctionShared>,
}

impl Calls {
    pub(super) fn spec(shared: Arc<FunctionShared>) -> ChildSpec {
        let drain = shared.config.drain_timeout + 2 * CANCEL_GRACE;
        let (mut spec, _address) = ChildSpec::actor(CALLS.id(), move || Self { shared: Arc::clone(&shared) });
        spec.shutdown = Shutdown::Deadline(drain);
        spec
    }

    /// Publishes how many calls run. A call ends at its time limit unless its handler never yields; such a
    /// handler holds a thread of the node, so the log names it.
    fn check(&self) {
        let shared = &self.shared;
        metrics::gauge!(signals::CALLS_IN_FLIGHT).set(shared.in_flight.len() as f64);
        let now = Instant::now();
        for call in shared.in_flight.list() {
            let limit = shared.find(&call.name).map_or(Duration::MAX, |found| found.meta.timeout);
            let age = now.saturating_duration_since(call.since);
            if age > limit.saturating_add(CHECK_EVERY) {
                tracing::warn!(
                    handler = %call.name,
                    request = %call.request,
                    seconds = age.as_secs(),
                    "call outlives its time limit: its handler blocks the thread; use ctx.blocking in an \
                     action or a job"
                );
            }
        }
    }
}

impl Actor for Calls {
    type Message = CallsMessage;
    type State = Timer;
    const KIND: &'static str = "calls";

    async fn start(&self, cx: &Context<CallsMessage>) -> Result<Timer, ActorError> {
        self.shared.tasks.reopen();
        self.shared.cancel.send_replace(false);
        Ok(cx.send_every(CHECK_EVERY, || CallsMessage::Check))
    }

    async fn handle(
        &self,
        _: &Context<CallsMessage>,
        CallsMessage::Check: CallsMessage,
        _: &mut Timer,
    ) -> Result<(), ActorError> {
        self.check();
        Ok(())
    }

    async fn stop(&self, _: &Context<CallsMessage>, _: &mut Timer) {
        let shared = &self.shared;
        shared.tasks.close();
        if tokio::time::timeout(shared.config.drain_timeout, shared.tasks.wait()).await.is_err() {
            for call in shared.in_flight.list() {
                tracing::warn!(
                    handler = %call.name,
                    request = %call.request,
                    "call cancelled: it still ran at the end of the drain"
                );
            }
            shared.cancel.send_replace(true);
            if tokio::time::timeout(CANCEL_GRACE, shared.tasks.wait()).await.is_err() {
                tracing::error!(calls = shared.in_flight.len(), "calls neither ended nor could be cancelled");
            }
        }
    }
}
