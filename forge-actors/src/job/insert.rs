//! The statements behind `ctx.dispatch(..)` and the runs of crons.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Postgres, Row};

use super::store;
use crate::app::job_key::{UniqueKey, UniqueRule, UniqueStates};
use crate::app::new_job::{DispatchOutcome, NewJob};
use crate::app::{JobStatus, Result};
use crate::db::handle::Db;
use crate::kernel::ids::JobId;
use crate::kernel::time::Timestamp;

/// Bytes of arguments of a job that may be claimed in a batch lease. The row of the lease holds all of its
/// jobs, and the arguments travel back with the result.
const BATCHED_ARGS_MAX: usize = 4 * 1024;

/// Inserts a job on `db`, the transaction of the dispatching call.
pub(super) async fn insert_in(
    db: &Db,
    job: &NewJob,
    identity: Option<String>,
    trace: String,
) -> Result<DispatchOutcome> {
    match &job.keys.expose().unique {
        Some(unique) => insert_unique(db, job, unique, identity, trace).await,
        None => insert(db, job, job.after_secs, job.run_at, identity, trace).await,
    }
}

/// Inserts a job that waits for `after_secs`, unless `run_at` says when it may run.
async fn insert(
    db: &Db,
    job: &NewJob,
    after_secs: f64,
    run_at: Option<Timestamp>,
    identity: Option<String>,
    trace: String,
) -> Result<DispatchOutcome> {
    insert_row(job, after_secs, run_at, identity, trace).execute(db).await?;
    Ok(DispatchOutcome::New(job.id))
}

/// The statement that inserts a job which is not unique.
pub(super) fn insert_row(
    job: &NewJob,
    after_secs: f64,
    run_at: Option<Timestamp>,
    identity: Option<String>,
    trace: String,
) -> Query<'_, Postgres, PgArguments> {
    let keys = job.keys.expose();
    let statement = match has_limit(job) {
        true => include_str!("sql/insert_limited_job.sql"),
        false => include_str!("sql/insert_job.sql"),
    };
    let mut insert = sqlx::query(statement)
        .bind(job.id)
        .bind(&job.name)
        .bind(&job.queue)
        .bind(job.priority)
        .bind(job.attempts_max)
        .bind(after_secs)
        .bind(job.args.expose())
        .bind(identity)
        .bind(trace)
        .bind(is_batched(job))
        .bind(run_at)
        .bind(job.timeout_ms.map(i64::from))
        .bind(job.awaited.then_some(true));
    if has_limit(job) {
        insert = insert.bind(keys.concurrency.as_deref()).bind(keys.rate.as_deref());
    }
    insert
}

fn has_limit(job: &NewJob) -> bool {
    let keys = job.keys.expose();
    keys.concurrency.is_some() || keys.rate.is_some()
}

/// A job with a limit is held by its own row, since the held rows of a key are its count.
fn is_batched(job: &NewJob) -> bool {
    !has_limit(job) && job.args.expose().len() <= BATCHED_ARGS_MAX
}

/// Inserts a job, unless there is one with its key. The row of the key makes dispatches with one key take
/// turns: a second one waits until the transaction of the first one has ended.
async fn insert_unique(
    db: &Db,
    job: &NewJob,
    unique: &UniqueKey,
    identity: Option<String>,
    trace: String,
) -> Result<DispatchOutcome> {
    let (within, after, run_at) = match unique.rule {
        UniqueRule::Once { within_secs, .. } => (within_secs, job.after_secs, job.run_at),
        UniqueRule::Debounce { wait_secs, .. } => (None, wait_secs, None),
    };
    let lock = sqlx::query(include_str!("sql/lock_job_key.sql"));
    let row = lock.bind(&unique.key).bind(job.id).bind(within).fetch_one(db).await?;
    let (found, is_within): (JobId, bool) = (row.try_get("job_id")?, row.try_get("is_within")?);
    if found != job.id {
        match unique.rule {
            UniqueRule::Once { states, .. } => {
                if is_within && is_found(status_of(db, found).await?, states) {
                    return Ok(DispatchOutcome::Existing(found));
                }
            }
            UniqueRule::Debounce { wait_secs, wait_secs_max } => {
                let deferred: Option<JobId> = sqlx::query_scalar(include_str!("sql/defer_job.sql"))
                    .bind(found)
                    .bind(wait_secs)
                    .bind(wait_secs_max)
                    .bind(job.args.expose())
                    .bind(is_batched(job))
                    .bind(&identity)
                    .bind(&trace)
                    .bind(job.priority)
                    .bind(job.attempts_max)
                    .bind(job.keys.expose().concurrency.as_deref())
                    .bind(job.keys.expose().rate.as_deref())
                    .bind(job.timeout_ms.map(i64::from))
                    .fetch_optional(db)
                    .await?;
                if deferred.is_some() {
                    return Ok(DispatchOutcome::Deferred(found));
                }
            }
        }
        let take = sqlx::query(include_str!("sql/take_job_key.sql"));
        take.bind(&unique.key).bind(job.id).bind(within).execute(db).await?;
    }
    insert(db, job, after, run_at, identity, trace).await
}

/// Whether a dispatch finds a job in this status. One without a row was finished, and its history is deleted;
/// that of jobs that failed is kept for longer, so it has most likely succeeded.
fn is_found(status: Option<JobStatus>, states: UniqueStates) -> bool {
    let unfinished = match status {
        Some(JobStatus::Pending | JobStatus::Claimed | JobStatus::Running | JobStatus::Retry) => true,
        Some(JobStatus::Completed) | None => return states != UniqueStates::Unfinished,
        Some(JobStatus::Failed | JobStatus::DeadLetter | JobStatus::Cancelled) => false,
    };
    unfinished || states == UniqueStates::Any
}

/// The status of a job; `None` when its history is deleted.
pub(crate) async fn status_of(db: &Db, job: JobId) -> Result<Option<JobStatus>> {
    let find = sqlx::query(include_str!("sql/find_job_status.sql")).bind(job);
    Ok(find.fetch_optional(db).await?.as_ref().map(store::status).transpose()?)
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

impl DispatchedJob {
    pub(super) fn row(&self) -> (&NewJob, Option<&str>, &str) {
        (&self.job, self.identity.as_deref(), &self.trace)
    }
}

/// Inserts jobs with one statement on `db`; none of them is unique.
///
/// # Errors
/// When the database fails or refuses one of them; then there is none.
pub async fn insert_all(db: &Db, jobs: &[DispatchedJob]) -> Result<()> {
    insert_rows(jobs.iter().map(DispatchedJob::row).collect()).execute(db).await?;
    Ok(())
}

/// The statement that inserts jobs of one caller, none of which is unique.
pub(super) fn insert_many<'a>(
    jobs: &'a [NewJob],
    identity: Option<&'a str>,
    trace: &'a str,
) -> Query<'a, Postgres, PgArguments> {
    match jobs {
        [first, others @ ..]
            if !jobs.iter().any(has_limit) && others.iter().all(|job| is_alike(first, job)) =>
        {
            insert_alike(first, jobs, identity, trace)
        }
        _ => insert_rows(jobs.iter().map(|job| (job, identity, trace)).collect()),
    }
}

/// True when the rows of both share every column but id and arguments, provided that neither has a limit.
fn is_alike(one: &NewJob, other: &NewJob) -> bool {
    // Every field is named, so that a new one is thought of here.
    let NewJob {
        id: _,
        name,
        queue,
        priority,
        attempts_max,
        after_secs,
        run_at,
        timeout_ms,
        // No column.
        followed: _,
        awaited,
        keys: _,
        args: _,
    } = one;
    (name, queue, priority, attempts_max) == (&other.name, &other.queue, &other.priority, &other.attempts_max)
        && (after_secs, run_at, timeout_ms, awaited)
            == (&other.after_secs, &other.run_at, &other.timeout_ms, &other.awaited)
}

/// The statement that inserts jobs as `first`, but for their ids and arguments; none of them has a limit.
fn insert_alike<'a>(
    first: &'a NewJob,
    jobs: &'a [NewJob],
    identity: Option<&'a str>,
    trace: &'a str,
) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(include_str!("sql/insert_alike_jobs.sql"))
        .bind(jobs.iter().map(|job| job.id).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.args.expose().as_str()).collect::<Vec<_>>())
        .bind(&first.name)
        .bind(&first.queue)
        .bind(first.priority)
        .bind(first.attempts_max)
        .bind(first.after_secs)
        .bind(first.run_at)
        .bind(identity)
        .bind(trace)
        .bind(BATCHED_ARGS_MAX as i32)
        .bind(first.timeout_ms.map(i64::from))
        .bind(first.awaited.then_some(true))
}

/// The statement that inserts jobs, none of which is unique, each with its identity and its trace.
pub(super) fn insert_rows<'a>(
    jobs: Vec<(&'a NewJob, Option<&'a str>, &'a str)>,
) -> Query<'a, Postgres, PgArguments> {
    let all = || jobs.iter().map(|(job, ..)| *job);
    sqlx::query(include_str!("sql/insert_jobs.sql"))
        .bind(all().map(|job| job.id).collect::<Vec<_>>())
        .bind(all().map(|job| job.name.as_str()).collect::<Vec<_>>())
        .bind(all().map(|job| job.queue.as_str()).collect::<Vec<_>>())
        .bind(all().map(|job| job.priority).collect::<Vec<_>>())
        .bind(all().map(|job| job.attempts_max).collect::<Vec<_>>())
        .bind(all().map(|job| job.after_secs).collect::<Vec<_>>())
        .bind(all().map(|job| job.args.expose().as_str()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|(_, identity, _)| *identity).collect::<Vec<_>>())
        .bind(jobs.iter().map(|(.., trace)| *trace).collect::<Vec<_>>())
        .bind(all().map(is_batched).collect::<Vec<_>>())
        .bind(all().map(|job| job.run_at).collect::<Vec<_>>())
        .bind(all().map(|job| job.keys.expose().concurrency.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|job| job.keys.expose().rate.as_deref()).collect::<Vec<_>>())
        .bind(all().map(|job| job.timeout_ms.map(i64::from)).collect::<Vec<_>>())
        .bind(all().map(|job| job.awaited.then_some(true)).collect::<Vec<_>>())
}
