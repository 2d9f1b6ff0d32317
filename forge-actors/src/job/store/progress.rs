//! How far jobs are: reports of their attempts, and the copy of their state that followers read.

use std::time::Duration;

use sqlx::Row;

use super::{DELETE_MAX, JobReport, JobStore, LOCK_LIMIT};
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::kernel::commit::{Receipt, TableId};
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;

/// Rows of progress that one look of the settler compares with the tables of jobs.
const UNSETTLED_MAX: i64 = 2_000;

/// What the settler has found among some of the rows of progress.
#[derive(Debug, Default)]
pub(in crate::job) struct Unsettled {
    /// Jobs whose progress says otherwise than their own row.
    pub(in crate::job) jobs: Vec<JobId>,
    /// Jobs that are in no table any more.
    pub(in crate::job) gone: Vec<JobId>,
    /// Where the next look goes on; `None` at the end.
    pub(in crate::job) next: Option<JobId>,
    /// True when a followed job is not finished, as far as its progress says. A page after the first one has
    /// open rows before it.
    pub(in crate::job) is_open: bool,
    /// The table of progress.
    pub(in crate::job) table: Option<TableId>,
}

impl JobStore {
    /// Writes reports in one transaction, and copies the state of the jobs that have ended.
    /// The last `lines_max` lines of each job are kept.
    pub(in crate::job) async fn report(
        &self,
        reports: &[(JobId, JobReport)],
        lines_max: usize,
    ) -> Result<Receipt, Fault> {
        let tx = self.database.begin(TransactionOptions::new("forge.jobs", LOCK_LIMIT)).await?;
        let db = tx.db();
        let written = async {
            write_progress(&db, reports).await?;
            write_lines(&db, reports, lines_max).await?;
            let ended: Vec<JobId> =
                reports.iter().filter(|(_, report)| report.has_ended).map(|(job, _)| *job).collect();
            sync_progress(&db, &ended).await
        };
        match written.await {
            Ok(()) => tx.commit().await,
            Err(fault) => {
                tx.rollback().await;
                Err(fault)
            }
        }
    }

    /// Looks for jobs whose progress says otherwise than the tables of jobs.
    pub(in crate::job) async fn find_unsettled(
        &self,
        db: &Db,
        after: Option<JobId>,
    ) -> Result<Unsettled, Fault> {
        let row = sqlx::query(include_str!("../sql/list_unsettled_jobs.sql"))
            .bind(after)
            .bind(UNSETTLED_MAX)
            .fetch_one(db)
            .await?;
        Ok(Unsettled {
            jobs: row.try_get::<Option<_>, _>("unsettled")?.unwrap_or_default(),
            gone: row.try_get::<Option<_>, _>("gone")?.unwrap_or_default(),
            next: row.try_get("next")?,
            is_open: after.is_some() || row.try_get("is_open")?,
            table: u32::try_from(row.try_get::<i64, _>("progress_table")?).ok().map(TableId),
        })
    }

    /// Deletes what is known of jobs that are in no table any more.
    pub(in crate::job) async fn delete_progress(&self, db: &Db, gone: &[JobId]) -> Result<(), Fault> {
        sqlx::query(include_str!("../sql/delete_progress.sql")).bind(gone).execute(db).await?;
        Ok(())
    }

    /// Deletes a part of what jobs have waited for that are in no table any more. Returns how many rows.
    pub(in crate::job) async fn delete_old_dependencies(
        &self,
        db: &Db,
        retention: Duration,
    ) -> Result<u64, Fault> {
        let delete = sqlx::query(include_str!("../sql/delete_old_dependencies.sql"));
        let deleted = delete.bind(retention.as_secs_f64()).bind(i64::from(DELETE_MAX)).execute(db).await?;
        Ok(deleted.rows_affected())
    }

    /// Deletes a part of the progress of jobs that finished more than `retention` ago. Returns how many rows.
    pub(in crate::job) async fn delete_old_progress(
        &self,
        db: &Db,
        retention: Duration,
    ) -> Result<u64, Fault> {
        let delete = sqlx::query(include_str!("../sql/delete_old_progress.sql"));
        let deleted = delete.bind(retention.as_secs_f64()).bind(i64::from(DELETE_MAX)).execute(db).await?;
        Ok(deleted.rows_affected())
    }
}

async fn write_progress(db: &Db, reports: &[(JobId, JobReport)]) -> Result<(), Fault> {
    let running = || reports.iter().filter(|(_, report)| report.is_running);
    if running().next().is_none() {
        return Ok(());
    }
    sqlx::query(include_str!("../sql/write_progress.sql"))
        .bind(running().map(|(job, _)| *job).collect::<Vec<_>>())
        .bind(running().map(|(_, report)| report.claim).collect::<Vec<_>>())
        .bind(running().map(|(_, report)| report.attempt).collect::<Vec<_>>())
        .bind(running().map(|(_, report)| report.attempts_max).collect::<Vec<_>>())
        .bind(running().map(|(_, report)| report.progress).collect::<Vec<_>>())
        .bind(running().map(|(_, report)| report.message.as_deref()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}

async fn write_lines(db: &Db, reports: &[(JobId, JobReport)], lines_max: usize) -> Result<(), Fault> {
    let lines = || reports.iter().flat_map(|(job, report)| report.lines.iter().map(move |line| (*job, line)));
    if lines().next().is_none() {
        return Ok(());
    }
    sqlx::query(include_str!("../sql/write_job_log.sql"))
        .bind(lines().map(|(job, _)| job).collect::<Vec<_>>())
        .bind(lines().map(|(_, line)| line.claim).collect::<Vec<_>>())
        .bind(lines().map(|(_, line)| line.number).collect::<Vec<_>>())
        .bind(lines().map(|(_, line)| line.at.elapsed().as_secs_f64()).collect::<Vec<_>>())
        .bind(lines().map(|(_, line)| line.level.as_str()).collect::<Vec<_>>())
        .bind(lines().map(|(_, line)| line.text.as_str()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    let jobs: Vec<JobId> =
        reports.iter().filter(|(_, report)| !report.lines.is_empty()).map(|(job, _)| *job).collect();
    sqlx::query(include_str!("../sql/trim_job_log.sql"))
        .bind(jobs)
        .bind(i64::try_from(lines_max).unwrap_or(i64::MAX))
        .execute(db)
        .await?;
    Ok(())
}

/// Copies the state of jobs from the tables of jobs, in the transaction of `db`. Two statements, because the
/// second one must see what the transactions have written that the first one has waited for.
pub(in crate::job) async fn sync_progress(db: &Db, jobs: &[JobId]) -> Result<(), Fault> {
    if jobs.is_empty() {
        return Ok(());
    }
    let locked = sqlx::query(include_str!("../sql/lock_progress.sql")).bind(jobs).fetch_all(db).await?;
    if locked.is_empty() {
        return Ok(());
    }
    sqlx::query(include_str!("../sql/sync_progress.sql")).bind(jobs).execute(db).await?;
    Ok(())
}
