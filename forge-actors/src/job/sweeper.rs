//! The sweeper: counts what waits, says what this binary has no handler for, and deletes old history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::claimer::ClaimerMessage;
use super::messages::Room;
use super::signals;
use super::store::{Count, Store};
use crate::kernel::time::{minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

/// Between two counts.
const SURVEY_EVERY: Duration = minutes(1);
/// Between two deletions, and between two parts of a long one.
const SWEEP_EVERY: Duration = minutes(10);
const SWEEP_PAUSE: Duration = secs(1);

/// Messages of the sweeper.
#[derive(forge_app_macros::Message)]
pub(super) enum SweeperMessage {
    /// Count what waits.
    Survey,
    /// Delete old history.
    Sweep,
}

pub(super) struct Sweeper {
    room: Arc<Room>,
}

pub(super) struct State {
    /// Names that were reported already.
    reported: BTreeSet<String>,
    /// Series that were set, so that one without rows falls to zero.
    series: BTreeSet<(String, String)>,
    survey: Timer,
    sweep: Timer,
}

impl Sweeper {
    pub(super) fn spec(room: Arc<Room>) -> ChildSpec {
        ChildSpec::actor("sweeper", move || Self { room: Arc::clone(&room) }).0
    }

    async fn survey(&self, state: &mut State) {
        let counts = match self.room.store.survey().await {
            Ok(counts) => counts,
            Err(fault) => return tracing::debug!(%fault, "jobs were not counted"),
        };
        let (known, unknown): (Vec<&Count>, Vec<&Count>) =
            counts.iter().partition(|count| self.room.names.contains(&count.name));
        self.room.tell_claimer(ClaimerMessage::Found {
            queues: known.iter().map(|count| count.queue.as_str().into()).collect(),
        });
        let mut rows: BTreeMap<(String, String), i64> =
            state.series.iter().map(|series| (series.clone(), 0)).collect();
        for count in &known {
            *rows.entry((count.queue.clone(), count.status.clone())).or_default() += count.rows;
        }
        for ((queue, status), rows) in &rows {
            metrics::gauge!(signals::JOBS, "queue" => queue.clone(), "status" => status.clone())
                .set(*rows as f64);
        }
        state.series = rows.into_keys().collect();
        let orphans: i64 = unknown.iter().map(|count| count.rows).sum();
        metrics::gauge!(signals::JOBS_WITHOUT_HANDLER).set(orphans as f64);
        let names: BTreeSet<String> = unknown.iter().map(|count| count.name.clone()).collect();
        for name in names.difference(&state.reported) {
            tracing::warn!(%name, "jobs wait that this binary has no handler for; deploy one, give one the attribute `alias`, or cancel them");
        }
        state.reported = names;
    }

    /// Deletes a part; answers when to go on.
    async fn sweep(&self) -> Duration {
        match self.room.store.sweep(self.room.config.retention).await {
            Ok(deleted) if Store::is_partial(deleted) => SWEEP_PAUSE,
            Ok(_) => SWEEP_EVERY,
            Err(fault) => {
                tracing::debug!(%fault, "old history was not deleted");
                SWEEP_EVERY
            }
        }
    }
}

impl Actor for Sweeper {
    type Message = SweeperMessage;
    type State = State;
    const KIND: &'static str = "sweeper";

    async fn start(&self, cx: &Context<SweeperMessage>) -> Result<State, ActorError> {
        let survey = cx.send_after(Duration::ZERO, SweeperMessage::Survey);
        // Not together with those of the other nodes that start now.
        let sweep = cx.send_after(SWEEP_EVERY.mul_f64(fastrand::f64()), SweeperMessage::Sweep);
        Ok(State { reported: BTreeSet::new(), series: BTreeSet::new(), survey, sweep })
    }

    async fn handle(
        &self,
        cx: &Context<SweeperMessage>,
        message: SweeperMessage,
        state: &mut State,
    ) -> Result<(), ActorError> {
        match message {
            SweeperMessage::Survey => {
                self.survey(state).await;
                state.survey = cx.send_after(SURVEY_EVERY, SweeperMessage::Survey);
            }
            SweeperMessage::Sweep => state.sweep = cx.send_after(self.sweep().await, SweeperMessage::Sweep),
        }
        Ok(())
    }
}
