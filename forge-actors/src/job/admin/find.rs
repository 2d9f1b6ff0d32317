//! Jobs by their ids.

use super::rows::{JobDetail, JobSummary};
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;

/// Failed attempts of one job that are shown.
const FAILED_ATTEMPTS_SHOWN_MAX: i64 = 20;

/// Finds a job, whether it is finished or not.
pub async fn find(db: &Db, id: JobId) -> Result<Option<JobDetail>, Fault> {
    let find = sqlx::query_as(include_str!("../sql/find_job.sql")).bind(id);
    let Some(mut detail): Option<JobDetail> = find.fetch_optional(db).await? else { return Ok(None) };
    let failed = sqlx::query_as(include_str!("../sql/list_failed_attempts.sql"))
        .bind(id)
        .bind(FAILED_ATTEMPTS_SHOWN_MAX);
    detail.failed_attempts = failed.fetch_all(db).await?;
    detail.failed_attempts.reverse();
    Ok(Some(detail))
}

/// How far jobs are. One that is missing from the answer was finished, and its row is older than the history
/// goes back.
pub async fn outcomes(db: &Db, ids: &[JobId]) -> Result<Vec<JobSummary>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as(include_str!("../sql/list_outcomes.sql")).bind(ids).fetch_all(db).await?)
}
