//! The actor `calls`: owns the tasks of all calls, names the handlers that block their threads, and drains
//! the calls when it stops.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::paths::CALLS;
use super::shared::FunctionShared;
use super::signals;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Shutdown, Timer};

/// Between two checks of the running calls.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// After the drain has cancelled its calls: time for their rollbacks.
const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// Messages of the actor.
#[derive(forge_app_macros::Message)]
pub(super) enum CallsMessage {
    /// Publishes how many calls run, and logs those whose handler blocks its thread.
    Check,
}

/// The actor.
pub(super) struct Calls {
    shared: Arc<FunctionShared>,
}

pub(super) struct CallsState {
    /// The calls whose handler blocks its thread, by key, and for how long they had when the log said so
    /// last.
    blocking: HashMap<u64, Duration>,
    _check: Timer,
}

impl Calls {
    pub(super) fn spec(shared: Arc<FunctionShared>) -> ChildSpec {
        let drain = shared.config.drain_timeout + 2 * CANCEL_GRACE;
        let (mut spec, _address) = ChildSpec::actor(CALLS.id(), move || Self { shared: Arc::clone(&shared) });
        spec.shutdown = Shutdown::Deadline(drain);
        spec
    }

    /// Publishes how many calls run, and logs a handler that blocks its thread: when it is first found, and
    /// each time that it has blocked for twice as long.
    fn check(&self, reported: &mut HashMap<u64, Duration>) {
        let calls = self.shared.in_flight.list();
        let blocking = || calls.iter().filter_map(|call| Some((call, call.blocked?)));
        metrics::gauge!(signals::CALLS_IN_FLIGHT).set(calls.len() as f64);
        metrics::gauge!(signals::HANDLERS_BLOCKING).set(blocking().count() as f64);
        reported.retain(|key, _| blocking().any(|(call, _)| call.key == *key));
        for (call, blocked) in blocking() {
            if reported.get(&call.key).is_some_and(|before| blocked < *before * 2) {
                continue;
            }
            reported.insert(call.key, blocked);
            tracing::warn!(
                handler = %call.name,
                request = %call.request,
                seconds = blocked.as_secs(),
                "handler blocks its thread, and other handlers may wait for it; use ctx.blocking in an \
                 action or a job"
            );
        }
    }
}

impl Actor for Calls {
    type Message = CallsMessage;
    type State = CallsState;
    const KIND: &'static str = "calls";

    async fn start(&self, cx: &Context<CallsMessage>) -> Result<CallsState, ActorError> {
        self.shared.tasks.reopen();
        self.shared.cancel.send_replace(false);
        let check = cx.send_every(CHECK_EVERY, || CallsMessage::Check);
        Ok(CallsState { blocking: HashMap::new(), _check: check })
    }

    async fn handle(
        &self,
        _: &Context<CallsMessage>,
        CallsMessage::Check: CallsMessage,
        state: &mut CallsState,
    ) -> Result<(), ActorError> {
        self.check(&mut state.blocking);
        Ok(())
    }

    async fn stop(&self, _: &Context<CallsMessage>, _: &mut CallsState) {
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
