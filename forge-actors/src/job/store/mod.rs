//! The statements of the job subsystem's actors. Every write about a claimed job names what holds it (its
//! claim, or its batch lease), and returns the jobs that it changed.

mod leases;
mod limited;
mod progress;
mod queue_limit;
mod record;
mod report;
mod rescue;
mod results;
mod unblock;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::JobStatus;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::db::transaction::Transaction;
use crate::job::limits::LimitedJob;
use crate::job::retention::RetentionClass;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, LeaseId, NodeId};
use crate::kernel::time::secs;

pub use leases::{BatchRenewal, BegunAttempt, Claim, LostJob, RenewedBatch};
pub use limited::LimitedClaim;
pub(super) use limited::OpeningKey;
pub(super) use progress::sync_progress;
pub(super) use record::status;
pub use record::{Hold, JobRecord};
pub(super) use report::{JobReport, LogLine};
pub use rescue::Rescued;
pub(super) use results::{JobResult, complete, suspend};

/// What the server counts of a table of jobs.
#[forge_app_macros::data]
#[derive(Debug)]
pub(super) struct TableSize {
    pub(super) name: String,
    /// Rows.
    pub(super) live: i64,
    /// Row versions that no transaction needs, and that no vacuum has removed.
    pub(super) dead: i64,
    /// Bytes of the rows.
    pub(super) row_bytes: i64,
    /// Bytes of the indexes.
    pub(super) index_bytes: i64,
}

/// Rows of history that one statement deletes.
pub(super) const DELETE_MAX: u32 = 5_000;
/// Statement timeout of transactions that lock batch leases. A transaction that holds such a lock is about to
/// commit.
pub(super) const LOCK_LIMIT: Duration = secs(10);

/// A job of a batch lease.
type HeldInBatch = (LeaseId, JobId);

/// How much a claim takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimSize {
    /// Jobs at most.
    pub limit: usize,
    /// How many of them begin: the first ones.
    pub begin: usize,
    /// Bytes of arguments: the job that reaches them is the last one.
    pub bytes_max: usize,
}

/// Who claims jobs.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The node.
    pub node: NodeId,
    /// Names of the jobs that it has handlers for.
    pub names: &'a [String],
    /// How long it may fail to renew the lease.
    pub lease: Duration,
    /// The batch lease to make. `None`: each job is claimed on its own row.
    pub batch: Option<LeaseId>,
    /// Names of the jobs that have a limit. With a key of one they are not claimed but returned.
    pub limited: &'a [String],
    /// Names of the jobs that need resources of their node. They are not claimed but returned.
    pub needing: &'a [String],
}

/// The result of a claim.
#[derive(Debug, Default)]
pub struct ClaimedJobs {
    /// The jobs that are held now.
    pub records: Vec<JobRecord>,
    /// The jobs that have a limit or need resources, which nothing holds yet.
    pub limited: Vec<LimitedJob>,
}

/// The result of a promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted {
    /// Queues whose scheduled jobs became ready.
    pub queues: BTreeSet<Arc<str>>,
    /// Until the next scheduled job is due; `None` when there is none.
    pub next_due: Option<Duration>,
    /// Queues that have ready jobs which nothing holds.
    pub waiting: BTreeSet<Arc<str>>,
    /// Whether a limit blocks jobs.
    pub has_blocked: bool,
    /// Whether a lease has run out.
    pub has_expired: bool,
}

impl Promoted {
    /// Nothing is to be done now.
    pub fn is_empty(&self) -> bool {
        let Self { queues, next_due: _, waiting, has_blocked, has_expired } = self;
        queues.is_empty() && waiting.is_empty() && !has_blocked && !has_expired
    }
}

/// How many jobs of one handler, queue and status there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCount {
    /// Wire name of the handler.
    pub name: String,
    /// The queue.
    pub queue: String,
    /// The status; none that is finished.
    pub status: JobStatus,
    /// How many.
    pub rows: i64,
}

/// The tables of jobs. Cheap to clone.
#[derive(Clone)]
pub struct JobStore {
    database: Database,
    /// Begins and renewals take turns, because both lock the rows of many jobs in no particular order. They
    /// run on connections that no handler can take: a job that waits for a row lock must not cost other jobs
    /// their leases.
    turn: Arc<Semaphore>,
}

impl JobStore {
    /// The tables in this database.
    pub fn new(database: Database) -> Self {
        Self { database, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Claims ready jobs of a queue, in the order in which they are to run, and writes the begins of the
    /// first ones that their own rows hold. Those with a limit are found alone. From a queue that is paused
    /// or has a limit of its own nothing is claimed.
    pub async fn claim(
        &self,
        queue: &str,
        claimant: Claimant<'_>,
        size: ClaimSize,
    ) -> Result<ClaimedJobs, Fault> {
        claim(&self.database.jobs(), queue, claimant, size, false).await
    }

    /// Makes the scheduled jobs ready whose time has come, and finds the queues that have work.
    pub async fn promote(&self) -> Result<Promoted, Fault> {
        let row =
            sqlx::query(include_str!("../sql/promote_jobs.sql")).fetch_one(&self.database.jobs()).await?;
        let queues: Option<Vec<String>> = row.try_get("queues")?;
        let next: Option<f64> = row.try_get("next_due")?;
        Ok(Promoted {
            queues: queue_names(queues),
            waiting: queue_names(row.try_get("waiting")?),
            has_blocked: row.try_get("has_blocked")?,
            has_expired: row.try_get("has_expired")?,
            next_due: next.map(|secs| Duration::from_secs_f64(secs.max(0.0))),
        })
    }

    /// Deletes a part of the history of one class, through `db`: rows that are old enough, of handlers that
    /// other classes do not name. `since`: rows that were old enough for longer were deleted before. Returns
    /// how many rows.
    pub async fn delete_history(
        &self,
        db: &Db,
        class: &RetentionClass,
        named: &[&str],
        since: Option<Duration>,
        max: u64,
    ) -> Result<u64, Fault> {
        let others = if class.names.is_some() { &[] } else { named };
        let deleted: i64 = sqlx::query_scalar(include_str!("../sql/delete_old_history.sql"))
            .bind(class.kept.as_secs_f64())
            .bind(i64::try_from(max).unwrap_or(i64::MAX))
            .bind(class.failed)
            .bind(class.names.as_deref())
            .bind(others)
            .bind(since.map(|since| since.as_secs_f64()))
            .fetch_one(db)
            .await?;
        Ok(deleted.unsigned_abs())
    }

    /// Deletes keys of limits and of unique dispatches that have expired, old bulks, and what is known of
    /// files of buffered jobs that are gone, through `db`. Returns how many rows.
    pub async fn delete_expired(&self, db: &Db) -> Result<u64, Fault> {
        let mut deleted = 0;
        for delete in [
            include_str!("../sql/delete_old_job_keys.sql"),
            include_str!("../sql/delete_old_limits.sql"),
            include_str!("../sql/delete_old_bulks.sql"),
            include_str!("../sql/delete_old_buffers.sql"),
        ] {
            deleted += sqlx::query(delete).bind(i64::from(DELETE_MAX)).execute(db).await?.rows_affected();
        }
        Ok(deleted)
    }

    /// Raises the priority of jobs that have been due, or raised, for longer than `after`, through `db`: at
    /// most `max` of each queue and priority. Returns the queue of each.
    pub async fn age(&self, db: &Db, after: Duration, max: i32) -> Result<Vec<Arc<str>>, Fault> {
        let age = sqlx::query_scalar(include_str!("../sql/age_jobs.sql")).bind(after.as_secs_f64()).bind(max);
        let queues: Vec<String> = age.fetch_all(db).await?;
        Ok(queues.into_iter().map(Arc::from).collect())
    }

    /// Counts the jobs that are not finished.
    pub async fn count_unfinished(&self) -> Result<Vec<QueueCount>, Fault> {
        let rows = sqlx::query(include_str!("../sql/count_unfinished_jobs.sql"))
            .fetch_all(&self.database.reader())
            .await?;
        let count = |row: &PgRow| {
            Ok(QueueCount {
                name: row.try_get("name")?,
                queue: row.try_get("queue")?,
                status: status(row)?,
                rows: row.try_get("rows")?,
            })
        };
        Ok(rows.iter().map(count).collect::<sqlx::Result<_>>()?)
    }

    /// How large the tables of jobs are, and how many dead row versions they hold.
    pub(super) async fn table_sizes(&self) -> Result<Vec<TableSize>, Fault> {
        let read = sqlx::query_as(include_str!("../sql/read_table_sizes.sql"));
        Ok(read.fetch_all(&self.database.reader()).await?)
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("the semaphore is never closed")
    }
}

/// [`JobStore::claim`] on `db`. `is_locked`: the transaction of `db` has locked the settings of the queue,
/// and they let jobs be claimed.
async fn claim(
    db: &Db,
    queue: &str,
    claimant: Claimant<'_>,
    size: ClaimSize,
    is_locked: bool,
) -> Result<ClaimedJobs, Fault> {
    let rows = sqlx::query(include_str!("../sql/claim_jobs.sql"))
        .bind(queue)
        .bind(claimant.names)
        .bind(i64::try_from(size.limit).unwrap_or(i64::MAX))
        .bind(claimant.node)
        .bind(claimant.lease.as_secs_f64())
        .bind(i64::try_from(size.begin).unwrap_or(i64::MAX))
        .bind(i64::try_from(size.bytes_max).unwrap_or(i64::MAX))
        .bind(claimant.batch)
        .bind(claimant.limited)
        .bind(is_locked)
        .bind(claimant.needing)
        .fetch_all(db)
        .await?;
    let mut claimed = ClaimedJobs::default();
    for row in &rows {
        match row.try_get(21)? {
            None => claimed.records.push(JobRecord::from_row(row, claimant.batch)?),
            Some(begins) => claimed.limited.push(LimitedJob {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                concurrency_key: row.try_get(16)?,
                rate_key: row.try_get(17)?,
                begins,
            }),
        }
    }
    Ok(claimed)
}

fn queue_names(queues: Option<Vec<String>>) -> BTreeSet<Arc<str>> {
    queues.into_iter().flatten().map(Arc::from).collect()
}

/// Locks batch leases in the transaction of `db`, until no other transaction finishes jobs of theirs.
async fn lock_batches(db: &Db, leases: &[LeaseId]) -> Result<(), Fault> {
    let mut distinct = leases.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    sqlx::query(include_str!("../sql/lock_batch_leases.sql")).bind(distinct).execute(db).await?;
    Ok(())
}

/// Commits the transaction in which `written` was written, or rolls it back when that has failed.
async fn end<T>(tx: Transaction, written: Result<T, Fault>) -> Result<T, Fault> {
    match written {
        Ok(value) => {
            tx.commit().await?;
            Ok(value)
        }
        Err(fault) => {
            tx.rollback().await;
            Err(fault)
        }
    }
}
