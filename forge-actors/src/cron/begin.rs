//! Notes when the runs begin.

use futures::future::BoxFuture;

use crate::app::Result;
use crate::app::cron::{BeginCronRun, CronRun};
use crate::db::handle::Db;
use crate::kernel::time::Timestamp;

/// Writes into the table of runs. Every node has one, with the role `worker` or without.
#[derive(Debug, Clone, Copy, Default)]
pub struct CronRunBeginner;

impl BeginCronRun for CronRunBeginner {
    fn begin<'a>(&'a self, db: &'a Db, run: &'a CronRun) -> BoxFuture<'a, Result<Timestamp>> {
        Box::pin(async move {
            let begin = sqlx::query_scalar(include_str!("sql/begin_run.sql"));
            Ok(begin.bind(run.cron).bind(run.scheduled_at).fetch_one(db).await?)
        })
    }
}
