//! Deletes runs that have ended long ago, with their journals, old events, and attempts that say nothing any
//! more, while this node leads [`WORKFLOW_MAINTENANCE`].

use std::time::Duration;

use super::config::WorkflowConfig;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::minutes;
use crate::leader::{Leadership, OldRows};

/// Its leader deletes old runs. Nodes with the role `worker` stand for it.
pub(super) const WORKFLOW_MAINTENANCE: Leadership = Leadership::new("workflows");
/// Runs of one statement: each has a journal.
const RUNS_MAX: u32 = 500;

#[derive(Clone)]
pub(super) struct OldWorkflowRuns(pub(super) WorkflowConfig);

impl OldRows for OldWorkflowRuns {
    const KIND: &'static str = "run_expiry";
    const INTERVAL: Duration = minutes(10);
    const BATCH_MAX: u32 = RUNS_MAX;

    async fn delete(&self, db: &Db) -> Result<u64, Fault> {
        let runs = sqlx::query(include_str!("sql/delete_old_runs.sql"));
        let deleted = runs.bind(i64::from(RUNS_MAX)).execute(db).await?.rows_affected();
        if deleted < u64::from(RUNS_MAX) {
            sqlx::query(include_str!("sql/delete_old_attempts.sql")).execute(db).await?;
            let events = sqlx::query(include_str!("sql/delete_old_events.sql"));
            let events = events.bind(self.0.event_retention.as_secs_f64()).bind(i64::from(RUNS_MAX));
            return Ok(deleted + events.execute(db).await?.rows_affected());
        }
        Ok(deleted)
    }
}
