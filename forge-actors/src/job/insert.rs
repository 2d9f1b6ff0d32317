//! The statement behind `ctx.dispatch(..)`.

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
                .execute(db)
                .await?;
            Ok(())
        })
    }
}
