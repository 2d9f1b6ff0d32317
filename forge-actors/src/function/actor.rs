//! The `functions` actor: owns the tasks of all calls, watches them, and drains them when it stops.

use std::time::{Duration, Instant};

use crate::function::idempotency;
use crate::function::messages::Functions;
use crate::function::signals;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Shutdown, Timer};

/// Path of the actor, and of the panics of handlers below it.
pub(super) const PATH: &str = "node/functions";
/// Path below which panics of jobs stand: that of the actors that run them.
pub(super) const JOBS_PATH: &str = "node/jobs";
/// Between two looks at the running calls.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// Between two deletions of old idempotency keys.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);
/// After a drain has cancelled its calls: time for their rollbacks.
const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// Messages of the actor.
#[derive(forge_app_macros::Message)]
pub(super) enum FunctionsMessage {
    /// Publish how many calls run, and name those that outlive their time limit.
    Watch,
    /// Delete the answers of old idempotency keys.
    Expire,
}

pub(super) struct FunctionsActor {
    functions: Functions,
}

/// Holds the timers.
pub(super) struct Watching {
    _watch: Timer,
    _expire: Timer,
}

impl FunctionsActor {
    pub(super) fn spec(functions: Functions) -> ChildSpec {
        let drain = functions.room.config.drain_timeout + 2 * CANCEL_GRACE;
        let (mut spec, _address) =
            ChildSpec::actor("functions", move || Self { functions: functions.clone() });
        spec.shutdown = Shutdown::Deadline(drain);
        spec
    }

    /// A call is cut at its time limit unless its handler never yields: then it holds a thread of the node,
    /// and the log must say so.
    fn watch(&self) {
        let room = &self.functions.room;
        metrics::gauge!(signals::CALLS_IN_FLIGHT).set(room.table.len() as f64);
        let now = Instant::now();
        for call in room.table.list() {
            let limit = room.find(&call.name).map_or(Duration::MAX, |found| found.meta.timeout);
            let age = now.saturating_duration_since(call.since);
            if age > limit.saturating_add(WATCH_EVERY) {
                tracing::warn!(handler = %call.name, request = %call.request, seconds = age.as_secs(), "a call outlives its time limit: its handler blocks the thread; use tokio::task::spawn_blocking");
            }
        }
    }
}

impl Actor for FunctionsActor {
    type Message = FunctionsMessage;
    type State = Watching;
    const KIND: &'static str = "functions";

    async fn start(&self, cx: &Context<FunctionsMessage>) -> Result<Watching, ActorError> {
        self.functions.room.tasks.reopen();
        self.functions.room.cancel.send_replace(false);
        Ok(Watching {
            _watch: cx.send_after(WATCH_EVERY, FunctionsMessage::Watch),
            // Not together with the other nodes that start now.
            _expire: cx.send_after(EXPIRE_EVERY.mul_f64(fastrand::f64()), FunctionsMessage::Expire),
        })
    }

    async fn handle(
        &self,
        cx: &Context<FunctionsMessage>,
        message: FunctionsMessage,
        state: &mut Watching,
    ) -> Result<(), ActorError> {
        match message {
            FunctionsMessage::Watch => {
                self.watch();
                state._watch = cx.send_after(WATCH_EVERY, FunctionsMessage::Watch);
            }
            FunctionsMessage::Expire => {
                if let Err(fault) = idempotency::expire(&self.functions.room.database).await {
                    tracing::debug!(%fault, "old idempotency keys were not deleted");
                }
                state._expire = cx.send_after(EXPIRE_EVERY, FunctionsMessage::Expire);
            }
        }
        Ok(())
    }

    async fn stop(&self, _cx: &Context<FunctionsMessage>, _: &mut Watching) {
        let room = &self.functions.room;
        room.tasks.close();
        if tokio::time::timeout(room.config.drain_timeout, room.tasks.wait()).await.is_err() {
            for call in room.table.list() {
                tracing::warn!(handler = %call.name, request = %call.request, "cancelled: still running when the drain ended");
            }
            room.cancel.send_replace(true);
            if tokio::time::timeout(CANCEL_GRACE, room.tasks.wait()).await.is_err() {
                tracing::error!(calls = room.table.len(), "calls neither ended nor could be cancelled");
            }
        }
    }
}
