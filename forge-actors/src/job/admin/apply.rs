//! Changes jobs: one, or a batch of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::action::JobAction;
use super::find::outcomes;
use crate::db::handle::Db;
use crate::job::dependencies;
use crate::job::state::is_finished;
use crate::job::store;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;

/// How often a cancel looks for jobs that are on their way from one table to another.
const CANCEL_TRIES: usize = 10;

/// The jobs that an action has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedJobs {
    /// Their ids.
    pub ids: Vec<JobId>,
    /// Queues whose workers are to be woken, once the transaction is committed: those of jobs that may run
    /// now.
    pub wake: BTreeSet<Arc<str>>,
}

impl ChangedJobs {
    fn retried(rows: &[PgRow]) -> sqlx::Result<Self> {
        let mut changed = Self::default();
        for row in rows {
            changed.ids.push(row.try_get("id")?);
            changed.wake.insert(row.try_get::<&str, _>("queue")?.into());
        }
        Ok(changed)
    }
}

/// Does something to jobs in the name of `who`. Those that the action does not apply to stay as they are. The
/// ends are recorded for the jobs that wait for them.
pub async fn apply(db: &Db, action: JobAction, ids: &[JobId], who: &str) -> Result<ChangedJobs, Fault> {
    let changed = match action {
        JobAction::Retry => {
            let retry = sqlx::query(include_str!("../sql/retry_jobs.sql")).bind(ids);
            let retried = ChangedJobs::retried(&retry.fetch_all(db).await?)?;
            dependencies::reopen(db, &retried.ids).await?;
            retried
        }
        JobAction::Cancel => ended(db, cancel(db, ids, who).await?).await?,
        JobAction::Discard => {
            let discard = sqlx::query_scalar(include_str!("../sql/discard_jobs.sql")).bind(ids).bind(who);
            ended(db, discard.fetch_all(db).await?).await?
        }
    };
    store::sync_progress(db, &changed.ids).await?;
    Ok(changed)
}

async fn ended(db: &Db, ids: Vec<JobId>) -> Result<ChangedJobs, Fault> {
    let wake = dependencies::settle(db, &ids).await?.queues;
    Ok(ChangedJobs { ids, wake })
}

/// Returns the jobs that it has ended. A job that is claimed or returned while the statement runs is in
/// neither of the tables that its snapshot shows, and in one of them for the next statement.
async fn cancel(db: &Db, ids: &[JobId], who: &str) -> Result<Vec<JobId>, Fault> {
    let mut changed: Vec<JobId> = Vec::new();
    let mut left = ids.to_vec();
    for _ in 0..CANCEL_TRIES {
        let cancel =
            sqlx::query_scalar::<_, JobId>(include_str!("../sql/cancel_jobs.sql")).bind(&left).bind(who);
        changed.extend(cancel.fetch_all(db).await?);
        let outcomes = outcomes(db, &left).await?;
        left = outcomes
            .into_iter()
            .filter(|outcome| !is_finished(outcome.status))
            .map(|outcome| outcome.job)
            .collect();
        if left.is_empty() {
            return Ok(changed);
        }
    }
    Err(Fault::new(Code::Conflict, "jobs change their place again and again; try again"))
}
