//! Runs that have gone on as new ones: one run after the other, each with a journal of its own.

use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;

/// The newest of the runs that a run has gone on as; `None` where it has not.
pub(super) async fn find_newest(db: &Db, run: RunId) -> Result<Option<RunId>, Fault> {
    let find = sqlx::query_scalar(include_str!("sql/find_newest_run.sql")).bind(run);
    Ok(find.fetch_optional(db).await?)
}
