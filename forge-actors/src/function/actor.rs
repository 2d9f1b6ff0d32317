//! The `functions` actor: owns the tasks of all calls, reports calls that outlive their time limit, and
//! drains the calls when it stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::idempotency;
use super::paths::FUNCTIONS;
use super::shared::FunctionShared;
use super::signals;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Shutdown, Timer};

/// Between two checks of the running calls.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Between two deletions of old idempotency keys.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);
/// Between two deletions while there is more to delete: the cluster has one node that deletes, and many that
/// add.
const EXPIRE_MORE_AFTER: Duration = Duration::from_secs(1);
/// After the drain has cancelled its calls: time for their rollbacks.
const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// Messages of the actor.
#[derive(forge_app_macros::Message)]
pub(super) enum FunctionsMessage {
    /// Publishes how many calls run, and logs those that outlive their time limit.
    CheckCalls,
    /// Deletes the answers of old idempotency keys.
    ExpireKeys,
    /// A deletion has ended; there may be more to delete.
    KeysExpired { more: bool },
}

pub(super) struct FunctionsActor {
    shared: Arc<FunctionShared>,
}

/// The timers of the actor, which end with it.
pub(super) struct FunctionsState {
    _check: Timer,
    _expire: Timer,
}

impl FunctionsActor {
    pub(super) fn spec(shared: Arc<FunctionShared>) -> ChildSpec {
        let drain = shared.config.drain_timeout + 2 * CANCEL_GRACE;
        let (mut spec, _address) =
            ChildSpec::actor(FUNCTIONS.id(), move || Self { shared: Arc::clone(&shared) });
        spec.shutdown = Shutdown::Deadline(drain);
        spec
    }

    /// Publishes how many calls run. A call ends at its time limit unless its handler never yields; such a
    /// handler holds a thread of the node, so the log names it.
    fn check_calls(&self) {
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
                    "call outlives its time limit: its handler blocks the thread; use \
                     tokio::task::spawn_blocking"
                );
            }
        }
    }
}

impl FunctionsActor {
    /// Deletes old idempotency keys, while this node leads the maintenance. In a task beside the actor, whose
    /// stop must not wait for a statement.
    fn expire_keys(&self, cx: &Context<FunctionsMessage>) {
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("expire keys", async move {
            let term = shared.terms.borrow().clone();
            let expired = match term {
                None => Ok(false),
                Some(term) => idempotency::expire(&shared.database, &term).await,
            };
            let more = expired.unwrap_or_else(|fault| {
                tracing::debug!(%fault, "old idempotency keys were not deleted");
                false
            });
            FunctionsMessage::KeysExpired { more }
        });
    }
}

impl Actor for FunctionsActor {
    type Message = FunctionsMessage;
    type State = FunctionsState;
    const KIND: &'static str = "functions";

    async fn start(&self, cx: &Context<FunctionsMessage>) -> Result<FunctionsState, ActorError> {
        self.shared.tasks.reopen();
        self.shared.cancel.send_replace(false);
        Ok(FunctionsState {
            _check: cx.send_after(CHECK_EVERY, FunctionsMessage::CheckCalls),
            // A random first delay, so that nodes which start together do not delete together.
            _expire: cx.send_after(EXPIRE_EVERY.mul_f64(fastrand::f64()), FunctionsMessage::ExpireKeys),
        })
    }

    async fn handle(
        &self,
        cx: &Context<FunctionsMessage>,
        message: FunctionsMessage,
        state: &mut FunctionsState,
    ) -> Result<(), ActorError> {
        match message {
            FunctionsMessage::CheckCalls => {
                self.check_calls();
                state._check = cx.send_after(CHECK_EVERY, FunctionsMessage::CheckCalls);
            }
            FunctionsMessage::ExpireKeys => self.expire_keys(cx),
            FunctionsMessage::KeysExpired { more } => {
                let pause = if more { EXPIRE_MORE_AFTER } else { EXPIRE_EVERY };
                state._expire = cx.send_after(pause, FunctionsMessage::ExpireKeys);
            }
        }
        Ok(())
    }

    async fn stop(&self, _cx: &Context<FunctionsMessage>, _: &mut FunctionsState) {
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
