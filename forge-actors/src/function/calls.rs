//! The actor `calls`: watches the running calls, says whether their threads are blocked and by what, and
//! drains the calls when it stops.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inflight::InFlightCall;
use super::paths::CALLS;
use super::shared::FunctionShared;
use super::signals;
use super::stall::{StallWatch, ThreadStall};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Shutdown, Timer};

/// Between two checks of the running calls.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A handler that has blocked no thread for so long is named anew when it blocks one again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// After the drain has cancelled its calls: time for their rollbacks.
const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// Messages of the actor.
#[derive(forge_app_macros::Message)]
pub(super) enum CallsMessage {
    /// Publishes how many calls run, and what blocks their threads.
    Check,
}

/// The actor.
pub(super) struct Calls {
    shared: Arc<FunctionShared>,
}

pub(super) struct CallsState {
    /// The handlers that the log has named.
    reported: HashMap<Arc<str>, Reported>,
    stalls: StallWatch,
    _check: Timer,
}

/// A handler that blocks its threads, or did so a moment ago.
struct Reported {
    /// For how long it had blocked one when the log named it last.
    longest: Duration,
    /// When it was last found to block one.
    seen: Instant,
}

impl Calls {
    pub(super) fn spec(shared: Arc<FunctionShared>) -> ChildSpec {
        let drain = shared.config.drain_timeout + 2 * CANCEL_GRACE;
        let (mut spec, _address) = ChildSpec::actor(CALLS.id(), move || Self { shared: Arc::clone(&shared) });
        spec.shutdown = Shutdown::Deadline(drain);
        spec
    }

    /// Publishes how many calls run, and what blocks the threads of handlers.
    fn check(&self, state: &mut CallsState) {
        let calls = self.shared.in_flight.list();
        let blocked: Vec<&InFlightCall> = calls.iter().filter(|call| call.blocked.is_some()).collect();
        let longest = blocked.iter().filter_map(|call| call.blocked).max().unwrap_or_default();
        metrics::gauge!(signals::CALLS_IN_FLIGHT).set(calls.len() as f64);
        metrics::gauge!(signals::HANDLERS_BLOCKING).set(blocked.len() as f64);
        metrics::gauge!(signals::HANDLER_BLOCK_LONGEST_SECONDS).set(longest.as_secs_f64());
        let stalled = state.stalls.check(&self.shared.threads, CHECK_EVERY);
        metrics::gauge!(signals::HANDLER_THREADS_STALLED_SECONDS)
            .set(stalled.unwrap_or_default().as_secs_f64());
        log_blocking(&blocked, &mut state.reported, Instant::now());
        self.publish_stall(stalled, &calls);
    }

    /// Publishes whether all threads are blocked, and logs the beginning and the end of it.
    fn publish_stall(&self, stalled: Option<Duration>, calls: &[InFlightCall]) {
        let before = self.shared.stall.borrow().clone();
        match (stalled, before) {
            (Some(stalled_for), None) => {
                let since = chrono::Utc::now() - stalled_for;
                let stall = ThreadStall::new(since, self.shared.threads.count(), calls);
                tracing::warn!(
                    threads = stall.threads,
                    blockers = stall.blockers,
                    "all threads of handlers are blocked; calls are refused with OVERLOADED until one is free"
                );
                self.shared.stall.send_replace(Some(stall));
            }
            (None, Some(ended)) => {
                let seconds = (chrono::Utc::now() - ended.since).num_seconds();
                let blockers = ended.blockers;
                tracing::info!(seconds, blockers, "threads of handlers are free again; calls are taken");
                self.shared.stall.send_replace(None);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Logs the handlers that block their threads, one line for each handler: when it is first found, and each
/// time that it has blocked one for twice as long.
fn log_blocking(blocked: &[&InFlightCall], reported: &mut HashMap<Arc<str>, Reported>, now: Instant) {
    reported.retain(|_, before| now.saturating_duration_since(before.seen) < FORGOTTEN_AFTER);
    let mut handlers: HashMap<&Arc<str>, (usize, Duration)> = HashMap::new();
    for call in blocked {
        let (threads, longest) = handlers.entry(&call.name).or_default();
        *threads += 1;
        *longest = call.blocked.unwrap_or_default().max(*longest);
    }
    for (handler, (threads, longest)) in handlers {
        if let Some(before) = reported.get_mut(handler) {
            before.seen = now;
            if longest < before.longest * 2 {
                continue;
            }
        }
        reported.insert(Arc::clone(handler), Reported { longest, seen: now });
        tracing::warn!(
            %handler,
            threads,
            seconds = longest.as_secs(),
            "handler blocks its thread, and other handlers may wait for it; use ctx.blocking in an action or \
             a job"
        );
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
        Ok(CallsState { reported: HashMap::new(), stalls: StallWatch::default(), _check: check })
    }

    async fn handle(
        &self,
        _: &Context<CallsMessage>,
        CallsMessage::Check: CallsMessage,
        state: &mut CallsState,
    ) -> Result<(), ActorError> {
        self.check(state);
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
