//! A job on its way into its table.

use futures::future::BoxFuture;

use crate::app::error::Result;
use crate::app::secret::Secret;
use crate::db::handle::Db;
use crate::kernel::ids::JobId;
use crate::kernel::time::Timestamp;

/// Inserts dispatched jobs into their table. The job subsystem implements it, so that contexts need not
/// import that subsystem.
pub trait InsertJob: Send + Sync + 'static {
    /// Inserts `job` with one statement on `db`, the transaction of the dispatching call. `identity` is the
    /// JSON of the caller's identity, `trace` the `traceparent` of the call.
    fn insert<'a>(
        &'a self,
        db: &'a Db,
        job: &'a NewJob,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<()>>;
}

/// A job that is about to be inserted.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// The queue it will wait in.
    pub queue: String,
    /// 0 to 100; within a queue larger ones run first.
    pub priority: i16,
    /// Attempts until it is a dead letter.
    pub attempts_max: i32,
    /// Seconds until it may run, unless `run_at` says when.
    pub after_secs: f64,
    /// When it may run.
    pub run_at: Option<Timestamp>,
    /// The arguments object, as JSON. Secret as a whole, because its parts are not known here.
    pub args: Secret<String>,
}
