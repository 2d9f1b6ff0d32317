//! Changes jobs: one, or a batch of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::action::JobAction;
use super::find::outcomes;
use crate::db::handle::Db;
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
    /// Their queues: after a retry their workers are to be woken, once the transaction is committed.
    pub queues: BTreeSet<Arc<str>>,
}

impl ChangedJobs {
    fn of(rows: &[PgRow]) -> sqlx::Result<Self> {
        let mut changed = Self::default();
        for row in rows {
            changed.ids.push(row.try_get("id")?);
            changed.queues.insert(row.try_get::<&str, _>("queue")?.into());
        }
        Ok(changed)
    }

    fn add(&mut self, others: Self) {
        self.ids.extend(others.ids);
        self.queues.extend(others.queues);
    }
}

/// Does something to jobs in the name of `who`. Those that the action does not apply to stay as they are.
pub async fn apply(db: &Db, action: JobAction, ids: &[JobId], who: &str) -> Result<ChangedJobs, Fault> {
    let changed = match action {
        JobAction::Retry => {
            let retry = sqlx::query(include_str!("../sql/retry_jobs.sql")).bind(ids);
            ChangedJobs::of(&retry.fetch_all(db).await?)?
        }
        JobAction::Cancel => cancel(db, ids, who).await?,
        JobAction::Discard => {
            let discard = sqlx::query(include_str!("../sql/discard_jobs.sql")).bind(ids).bind(who);
            ChangedJobs::of(&discard.fetch_all(db).await?)?
        }
    };
    store::sync_progress(db, &changed.ids).await?;
    Ok(changed)
}

/// A job that is claimed or returned while the statement runs is in neither of the tables that its snapshot
/// shows, and in one of them for the next statement.
async fn cancel(db: &Db, ids: &[JobId], who: &str) -> Result<ChangedJobs, Fault> {
    let mut changed = ChangedJobs::default();
    let mut left = ids.to_vec();
    for _ in 0..CANCEL_TRIES {
        let cancel = sqlx::query(include_str!("../sql/cancel_jobs.sql")).bind(&left).bind(who);
        changed.add(ChangedJobs::of(&cancel.fetch_all(db).await?)?);
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
