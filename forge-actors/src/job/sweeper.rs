//! The sweeper: counts the jobs that are not finished, reports those that this binary has no handler for, and
//! deletes old history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::messages::ClaimerMessage;
use super::shared::JobShared;
use super::signals;
use super::store::{JobStore, QueueCount};
use crate::app::JobStatus;
use crate::kernel::time::{minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

/// Between two counts.
const COUNT_EVERY: Duration = minutes(1);
/// Between two deletions.
const DELETE_EVERY: Duration = minutes(10);
/// Between two parts of a long deletion.
const DELETE_PAUSE: Duration = secs(1);

/// Messages of the sweeper.
#[derive(forge_app_macros::Message)]
pub(super) enum SweeperMessage {
    /// Counts the jobs that are not finished.
    CountJobs,
    /// Deletes old history.
    DeleteHistory,
}

pub(super) struct Sweeper {
    shared: Arc<JobShared>,
}

pub(super) struct SweeperState {
    /// Names of jobs without a handler that the log has named already.
    reported: BTreeSet<String>,
    /// The gauges that were set, by queue and status, so that one without jobs falls to zero.
    gauges: BTreeSet<(String, JobStatus)>,
    count: Timer,
    delete: Timer,
}

impl Sweeper {
    pub(super) fn spec(shared: Arc<JobShared>) -> ChildSpec {
        ChildSpec::unaddressed("sweeper", move || Self { shared: Arc::clone(&shared) })
    }

    async fn count_jobs(&self, state: &mut SweeperState) {
        let counts = match self.shared.store.count_unfinished().await {
            Ok(counts) => counts,
            Err(fault) => return tracing::debug!(%fault, "jobs were not counted"),
        };
        let (known, unknown): (Vec<&QueueCount>, Vec<&QueueCount>) =
            counts.iter().partition(|count| self.shared.names.contains(&count.name));
        let queues = known.iter().map(|count| count.queue.as_str().into()).collect();
        // The next count finds queues again that a claimer without free mailbox places misses.
        self.shared.claimer.notify(ClaimerMessage::QueuesFound { queues });
        let mut rows: BTreeMap<(String, JobStatus), i64> =
            state.gauges.iter().map(|gauge| (gauge.clone(), 0)).collect();
        for count in &known {
            *rows.entry((count.queue.clone(), count.status)).or_default() += count.rows;
        }
        for ((queue, status), rows) in &rows {
            metrics::gauge!(signals::JOBS, "queue" => queue.clone(), "status" => status.as_str())
                .set(*rows as f64);
        }
        state.gauges = rows.into_keys().collect();
        let without_handler: i64 = unknown.iter().map(|count| count.rows).sum();
        metrics::gauge!(signals::JOBS_WITHOUT_HANDLER).set(without_handler as f64);
        let names: BTreeSet<String> = unknown.iter().map(|count| count.name.clone()).collect();
        for name in names.difference(&state.reported) {
            tracing::warn!(
                %name,
                "jobs wait that this binary has no handler for; deploy one, give one the attribute `alias`, \
                 or cancel them"
            );
        }
        state.reported = names;
    }

    /// Deletes a part of the old history; returns the pause until the next deletion.
    async fn delete_history(&self) -> Duration {
        match self.shared.store.delete_history(self.shared.config.retention).await {
            Ok(deleted) if JobStore::is_partial(deleted) => DELETE_PAUSE,
            Ok(_) => DELETE_EVERY,
            Err(fault) => {
                tracing::debug!(%fault, "old history was not deleted");
                DELETE_EVERY
            }
        }
    }
}

impl Actor for Sweeper {
    type Message = SweeperMessage;
    type State = SweeperState;
    const KIND: &'static str = "sweeper";

    async fn start(&self, cx: &Context<SweeperMessage>) -> Result<SweeperState, ActorError> {
        let count = cx.send_after(Duration::ZERO, SweeperMessage::CountJobs);
        // A random first delay, so that nodes which start together do not delete together.
        let delete = cx.send_after(DELETE_EVERY.mul_f64(fastrand::f64()), SweeperMessage::DeleteHistory);
        Ok(SweeperState { reported: BTreeSet::new(), gauges: BTreeSet::new(), count, delete })
    }

    async fn handle(
        &self,
        cx: &Context<SweeperMessage>,
        message: SweeperMessage,
        state: &mut SweeperState,
    ) -> Result<(), ActorError> {
        match message {
            SweeperMessage::CountJobs => {
                self.count_jobs(state).await;
                state.count = cx.send_after(COUNT_EVERY, SweeperMessage::CountJobs);
            }
            SweeperMessage::DeleteHistory => {
                let pause = self.delete_history().await;
                state.delete = cx.send_after(pause, SweeperMessage::DeleteHistory);
            }
        }
        Ok(())
    }
}
