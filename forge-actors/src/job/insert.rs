//! The statements behind `ctx.dispatch(..)` and the runs of crons.

use futures::future::BoxFuture;

use crate::app::Result;
use crate::app::new_job::{InsertJob, NewJob};
use crate::db::handle::Db;

/// Bytes of arguments of a job that may be claimed in a batch lease. The row of the lease holds all of its
/// jobs, and the arguments travel back with the result.
const BATCHED_ARGS_MAX: usize = 4 * 1024;

/// Inserts dispatched jobs. Every node has one, with the role `worker` or without.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobInserter;

impl InsertJob for JobInserter {
    fn insert<'a>(
        &'a self,
        db: &'a Db,
        job: &'a NewJob,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            sqlx::query(include_str!("sql/insert_job.sql"))
                .bind(job.id)
                .bind(&job.name)
                .bind(&job.queue)
                .bind(job.priority)
                .bind(job.attempts_max)
                .bind(job.after_secs)
                .bind(job.args.expose())
                .bind(identity)
                .bind(trace)
                .bind(job.args.expose().len() <= BATCHED_ARGS_MAX)
                .bind(job.run_at)
                .execute(db)
                .await?;
            Ok(())
        })
    }
}

/// A job that is inserted together with others.
#[derive(Debug)]
pub struct DispatchedJob {
    /// The job.
    pub job: NewJob,
    /// JSON of the identity that it runs with.
    pub identity: Option<String>,
    /// The `traceparent` that it belongs to.
    pub trace: String,
}

/// Inserts jobs with one statement on `db`.
///
/// # Errors
/// When the database fails or refuses one of them; then there is none.
pub async fn insert_all(db: &Db, jobs: &[DispatchedJob]) -> Result<()> {
    let all = || jobs.iter().map(|dispatched| &dispatched.job);
    sqlx::query(include_str!("sql/insert_jobs.sql"))
        .bind(all().map(|job| job.id).collect::<Vec<_>>())
        .bind(all().map(|job| job.name.as_str()).collect::<Vec<_>>())
        .bind(all().map(|job| job.queue.as_str()).collect::<Vec<_>>())
        .bind(all().map(|job| job.priority).collect::<Vec<_>>())
        .bind(all().map(|job| job.attempts_max).collect::<Vec<_>>())
        .bind(all().map(|job| job.after_secs).collect::<Vec<_>>())
        .bind(all().map(|job| job.args.expose().as_str()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|dispatched| dispatched.identity.as_deref()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|dispatched| dispatched.trace.as_str()).collect::<Vec<_>>())
        .bind(all().map(|job| job.args.expose().len() <= BATCHED_ARGS_MAX).collect::<Vec<_>>())
        .bind(all().map(|job| job.run_at).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}
