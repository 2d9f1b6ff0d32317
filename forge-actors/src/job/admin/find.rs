//! Jobs by their ids.

use super::rows::{JobDetail, JobOutcome};
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;

/// Finds a job, whether it is finished or not.
pub async fn find(db: &Db, id: JobId) -> Result<Option<JobDetail>, Fault> {
    Ok(sqlx::query_as(include_str!("../sql/find_job.sql")).bind(id).fetch_optional(db).await?)
}

/// How far jobs are. One that is missing from the answer was finished, and its row is older than the history
/// goes back.
pub async fn outcomes(db: &Db, ids: &[JobId]) -> Result<Vec<JobOutcome>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as(include_str!("../sql/list_outcomes.sql")).bind(ids).fetch_all(db).await?)
}
