//! What tests of applications do with workflows: wait until nothing is to be done, and let time pass.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Row;

use super::Workflows;
use super::messages::{RouterMessage, RunClaimerMessage};
use crate::app::error::{AppError, CallError};
use crate::app::handler::Handler;
use crate::app::job_failure::JobFailure;
use crate::app::wire_type::WireType;
use crate::app::workflow_run::store::{FoundRun, WaitedEnd};
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::time::millis;

/// Between two looks whether runs are still executed.
const LOOK_EVERY: Duration = millis(2);
/// Runs that are named which do not settle.
const NAMED_MAX: i64 = 5;

impl Workflows {
    /// Waits until no run is executed and none is due: all of them wait, are parked or have ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle(&self) -> Result<(), Fault> {
        loop {
            let unsettled: i64 = sqlx::query_scalar(include_str!("sql/count_unsettled.sql"))
                .fetch_one(&self.shared.database.writer())
                .await?;
            if unsettled == 0 {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The runs that are executed or due now, five at most: a sentence about each.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unsettled(&self) -> Result<Vec<String>, Fault> {
        let list = sqlx::query(include_str!("sql/list_unsettled.sql")).bind(NAMED_MAX);
        let mut sentences = Vec::new();
        for row in list.fetch_all(&self.shared.database.writer()).await? {
            let run: RunId = row.try_get("id")?;
            let (workflow, status): (String, String) = (row.try_get("workflow")?, row.try_get("status")?);
            let (position, name): (Option<String>, Option<String>) =
                (row.try_get("position")?, row.try_get("name")?);
            let active = self.shared.active.get(&run);
            let under_way =
                active.and_then(|entry| entry.run.attempts.under_way(Duration::ZERO).into_iter().next());
            let step = match (under_way, position.zip(name)) {
                (Some(step), _) => format!(", step {} `{}` is under way", step.position, step.name),
                (None, Some((position, name))) => format!(", its last step is {position} `{name}`"),
                (None, None) => String::new(),
            };
            sentences.push(format!("the run {run} of `{workflow}` is {status}{step}"));
        }
        Ok(sentences)
    }

    /// Lets this time pass for all runs: what they wait for comes earlier, and their clock is ahead.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn advance(&self, time: Duration) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/advance_runs.sql"))
            .bind(time.as_secs_f64())
            .execute(&self.shared.database.writer())
            .await?;
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.shared.micros_passed.fetch_add(micros, Ordering::AcqRel);
        self.shared.claimer.notify(RunClaimerMessage::RunReady);
        self.shared.router.notify(RouterMessage::EventsReady);
        Ok(())
    }

    /// How a run of `H` has ended; `None` while it has not.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such run.
    pub async fn end_of<H: Handler>(
        &self,
        run: RunId,
    ) -> Result<Option<Result<H::Output, CallError<H::Error>>>, Fault> {
        Ok(match self.shared.store.find_run_end(run).await? {
            FoundRun::Open(_) => None,
            FoundRun::Ended(WaitedEnd::Completed(json)) => {
                Some(Ok(H::Output::from_json(json.as_bytes()).map_err(Fault::internal)?))
            }
            FoundRun::Ended(WaitedEnd::Failed(json)) => {
                let failure: JobFailure = serde_json::from_str(&json).map_err(Fault::internal)?;
                Some(Err(match H::Error::from_wire(&failure.code, failure.details.as_ref()) {
                    Some(own) if failure.is_own => CallError::App(own),
                    _ => CallError::Fault(failure.into()),
                }))
            }
        })
    }
}
