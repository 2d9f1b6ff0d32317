//! The statements of the job subsystem's actors. Every write about a claimed job names its claim, and returns
//! the jobs that it changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::state::{self, Transition, is_finished};
use crate::app::JobStatus;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::{RefusedRow, write_by_halves};
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::trace::TraceContext;

/// Jobs that one rescue returns; the next rescue returns further ones.
const RESCUE_MAX: i64 = 1_000;
/// A job whose lease expired in attempt n comes back within n - 1 times this, ten times at most.
const RESCUE_SPREAD: Duration = Duration::from_secs(3);
/// How long a job that the database refuses to have rescued is left alone.
const UNRESCUED_WAIT: Duration = Duration::from_secs(300);
/// Rows of history that one statement deletes.
pub(super) const DELETE_MAX: u32 = 5_000;

/// A claimed job, as its row says.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// The queue that it waited in.
    pub queue: Arc<str>,
    /// The number of the claim, which every write about the job names.
    pub claim: i32,
    /// True when the begin of its attempt is written.
    pub begun: bool,
    /// Attempts that have begun and count, the present one included once it has begun.
    pub attempts_begun: u32,
    /// Attempts that it has.
    pub attempts_max: u32,
    /// The arguments object, as JSON.
    pub args: Bytes,
    /// The identity of the dispatcher, as JSON. The worker parses it, because an identity that cannot be read
    /// must not fail the claim of the other jobs.
    pub identity: Option<String>,
    /// The trace of the dispatching call.
    pub trace: Option<TraceContext>,
    /// How long the job waited for a worker after its time had come.
    pub waited: Duration,
    /// Builds that could not read the arguments.
    pub refused_by: Vec<String>,
}

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

/// A claim of a job. Its number grows with each claim, so that a write which names an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// The number of the claim.
    pub number: i32,
}

/// An attempt whose begin is written: from now on it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunAttempt {
    /// The job.
    pub job: JobId,
    /// The attempt that begins, the first is 1.
    pub attempt: u32,
    /// How long the job waited for a worker after its time had come.
    pub waited: Duration,
}

/// The result of a promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted {
    /// Queues whose scheduled jobs became ready.
    pub queues: BTreeSet<Arc<str>>,
    /// Until the next scheduled job is due; `None` when there is none.
    pub next_due: Option<Duration>,
}

/// The result of a rescue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Queues of the jobs that wait again.
    pub queues: BTreeSet<Arc<str>>,
    /// How many jobs lost an attempt and are run again.
    pub retried: usize,
    /// How many jobs had not begun, and lost no attempt.
    pub returned: usize,
    /// How many jobs had no attempt left, and became dead letters.
    pub dead: usize,
    /// Jobs whose row the database refuses to change, and why.
    pub refused: BTreeMap<JobId, String>,
}

impl Rescued {
    /// How many jobs were rescued.
    pub fn count(&self) -> usize {
        self.retried + self.returned + self.dead
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

/// What is to be written about a job.
pub(super) type JobResult<'a> = (&'a JobRecord, &'a Transition);

/// What became of the results of a batch.
pub(super) struct WrittenResults {
    /// The jobs whose claim still held.
    pub(super) accepted: HashSet<JobId>,
    /// The jobs whose result the database refused, and why.
    pub(super) refused: HashMap<JobId, Fault>,
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

    /// Claims ready jobs of a queue for a node, in the order in which they are to run, and begins the first
    /// ones of them.
    pub async fn claim(
        &self,
        queue: &str,
        names: &[String],
        size: ClaimSize,
        node: NodeId,
        lease: Duration,
    ) -> Result<Vec<JobRecord>, Fault> {
        let rows = sqlx::query(include_str!("sql/claim_jobs.sql"))
            .bind(queue)
            .bind(names)
            .bind(i64::try_from(size.limit).unwrap_or(i64::MAX))
            .bind(node)
            .bind(lease.as_secs_f64())
            .bind(i64::try_from(size.begin).unwrap_or(i64::MAX))
            .bind(i64::try_from(size.bytes_max).unwrap_or(i64::MAX))
            .fetch_all(&self.database.writer())
            .await?;
        Ok(rows.iter().map(record).collect::<sqlx::Result<_>>()?)
    }

    /// Begins an attempt of each of these claims, and renews their leases. Returns those that still hold.
    ///
    /// Free workers wait for the result, so the commit does not wait for the disk while every job is claimed
    /// for the first time. Such a begin survives the loss of its node, but not always a crash of Postgres
    /// less than a second later. The end of the attempt writes the number of the attempt once more, and
    /// begins of later claims wait for the disk, so a job that takes Postgres down with it has one attempt
    /// more at most.
    pub async fn begin(&self, claims: &[Claim], lease: Duration) -> Result<Vec<BegunAttempt>, Fault> {
        let waits_for_disk = claims.iter().any(|claim| claim.number > 1);
        let _turn = self.turn().await;
        let rows = sqlx::query(include_str!("sql/begin_jobs.sql"))
            .bind(claims.iter().map(|claim| claim.job).collect::<Vec<_>>())
            .bind(claims.iter().map(|claim| claim.number).collect::<Vec<_>>())
            .bind(lease.as_secs_f64())
            .bind(waits_for_disk)
            .fetch_all(&self.database.control())
            .await?;
        let begun = |row: &PgRow| {
            let attempt: i32 = row.try_get("attempt")?;
            Ok(BegunAttempt {
                job: row.try_get("id")?,
                attempt: attempt.unsigned_abs(),
                waited: waited(row)?,
            })
        };
        Ok(rows.iter().map(begun).collect::<sqlx::Result<_>>()?)
    }

    /// Makes the scheduled jobs ready whose time has come.
    pub async fn promote(&self) -> Result<Promoted, Fault> {
        let row =
            sqlx::query(include_str!("sql/promote_jobs.sql")).fetch_one(&self.database.writer()).await?;
        let queues: Option<Vec<String>> = row.try_get("queues")?;
        let next: Option<f64> = row.try_get("next_due")?;
        Ok(Promoted {
            queues: queue_names(queues),
            next_due: next.map(|secs| Duration::from_secs_f64(secs.max(0.0))),
        })
    }

    /// Writes the results of attempts. A result that is neither accepted nor refused is of an attempt that
    /// has lost its job.
    pub(super) async fn write_results(&self, results: &[JobResult<'_>]) -> Result<WrittenResults, Fault> {
        let db = self.database.writer();
        let is_end = |(_, transition): &JobResult<'_>| is_finished(transition.status);
        let (finished, waiting): (Vec<_>, Vec<_>) = results.iter().copied().partition(is_end);
        let ends =
            write_by_halves(finished.len(), |part| finish(&db, finished[part].iter().copied())).await?;
        let returns =
            write_by_halves(waiting.len(), |part| return_to_queue(&db, waiting[part].iter().copied()))
                .await?;
        Ok(WrittenResults {
            accepted: ends.written.into_iter().chain(returns.written).flatten().collect(),
            refused: refusals(&finished, ends.refused).chain(refusals(&waiting, returns.refused)).collect(),
        })
    }

    /// Makes the errors of these transitions the last errors of their jobs, whose results were all refused,
    /// and has their leases run out after the delays. Changes `last_error` and `lease_until` alone, and not
    /// the status: a constraint or trigger that refuses the new status need not refuse these. Returns the
    /// jobs that were changed.
    pub(super) async fn explain(&self, results: &[JobResult<'_>]) -> Result<HashSet<JobId>, Fault> {
        let db = self.database.writer();
        let explained =
            write_by_halves(results.len(), |part| explain(&db, results[part].iter().copied())).await?;
        Ok(explained.written.into_iter().flatten().collect())
    }

    /// Renews the leases of these claims. Returns the jobs whose claim still holds.
    pub async fn renew(&self, claims: &[Claim], lease: Duration) -> Result<Vec<JobId>, Fault> {
        let _turn = self.turn().await;
        let renewed = sqlx::query_scalar(include_str!("sql/renew_leases.sql"))
            .bind(claims.iter().map(|claim| claim.job).collect::<Vec<_>>())
            .bind(claims.iter().map(|claim| claim.number).collect::<Vec<_>>())
            .bind(lease.as_secs_f64())
            .fetch_all(&self.database.control())
            .await?;
        Ok(renewed)
    }

    /// Returns jobs whose lease has run out to their queues; those that lost their last attempt become dead
    /// letters.
    pub async fn rescue(&self) -> Result<Rescued, Fault> {
        match self.rescue_those(None).await {
            Err(fault) if fault.blames_row() => self.rescue_by_halves().await,
            rescued => rescued,
        }
    }

    /// Rescues the jobs whose row the database accepts.
    async fn rescue_by_halves(&self) -> Result<Rescued, Fault> {
        let list = sqlx::query_scalar(include_str!("sql/list_expired_jobs.sql")).bind(RESCUE_MAX);
        let expired: Vec<JobId> = list.fetch_all(&self.database.writer()).await?;
        let batch = write_by_halves(expired.len(), |part| self.rescue_those(Some(&expired[part]))).await?;
        let mut all = Rescued::default();
        for rescued in batch.written {
            all.queues.extend(rescued.queues);
            all.retried += rescued.retried;
            all.returned += rescued.returned;
            all.dead += rescued.dead;
        }
        let refusal = |RefusedRow { row, fault }| (expired[row], error_chain(&fault));
        all.refused = batch.refused.into_iter().map(refusal).collect();
        self.explain_unrescued(&all.refused).await?;
        Ok(all)
    }

    /// Makes the refusals the last errors of the jobs that cannot be rescued, which are tried again later. A
    /// job of which the database refuses this as well is tried again with the next rescue.
    async fn explain_unrescued(&self, refused: &BTreeMap<JobId, String>) -> Result<(), Fault> {
        let reasons: Vec<(JobId, String)> =
            refused.iter().map(|(job, refusal)| (*job, state::unrescued(refusal))).collect();
        let db = self.database.writer();
        write_by_halves(reasons.len(), |part| {
            let (jobs, errors): (Vec<_>, Vec<_>) =
                reasons[part].iter().map(|(job, error)| (*job, error.as_str())).unzip();
            let explain = sqlx::query(include_str!("sql/explain_unrescued_jobs.sql"))
                .bind(jobs)
                .bind(errors)
                .bind(UNRESCUED_WAIT.as_secs_f64());
            let db = &db;
            async move { Ok(explain.execute(db).await?) }
        })
        .await?;
        Ok(())
    }

    /// Rescues those of these jobs whose lease has run out, or all such jobs.
    async fn rescue_those(&self, jobs: Option<&[JobId]>) -> Result<Rescued, Fault> {
        let rescue = sqlx::query(include_str!("sql/rescue_jobs.sql"))
            .bind(RESCUE_MAX)
            .bind(RESCUE_SPREAD.as_secs_f64())
            .bind(jobs.map(<[JobId]>::to_vec));
        let row = rescue.fetch_one(&self.database.writer()).await?;
        let count = |column| row.try_get(column).map(|count: i64| usize::try_from(count).unwrap_or_default());
        Ok(Rescued {
            queues: queue_names(row.try_get("queues")?),
            retried: count("retried")?,
            returned: count("returned")?,
            dead: count("dead")?,
            refused: BTreeMap::new(),
        })
    }

    /// Deletes a part of the history that is older than `retention`, through `db`. Returns how many rows.
    pub async fn delete_history(&self, db: &Db, retention: Duration) -> Result<u64, Fault> {
        let delete = sqlx::query(include_str!("sql/delete_old_history.sql"));
        Ok(delete
            .bind(retention.as_secs_f64())
            .bind(i64::from(DELETE_MAX))
            .execute(db)
            .await?
            .rows_affected())
    }

    /// Counts the jobs that are not finished.
    pub async fn count_unfinished(&self) -> Result<Vec<QueueCount>, Fault> {
        let rows = sqlx::query(include_str!("sql/count_unfinished_jobs.sql"))
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

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("the semaphore is never closed")
    }
}

/// Moves finished jobs into the history. Returns those whose claim still held.
pub(super) async fn finish<'a>(
    db: &Db,
    results: impl Iterator<Item = JobResult<'a>>,
) -> Result<Vec<JobId>, Fault> {
    let mut columns = ResultColumns::default();
    for (record, transition) in results {
        columns.push(record, transition);
        columns.attempts.push(record.attempts_begun.cast_signed());
    }
    if columns.ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar(include_str!("sql/finish_jobs.sql"))
        .bind(columns.ids)
        .bind(columns.claims)
        .bind(columns.statuses)
        .bind(columns.errors)
        .bind(columns.attempts)
        .fetch_all(db)
        .await?)
}

/// Writes the refusals as `last_error`. Returns the jobs whose claim still held.
async fn explain<'a>(db: &Db, results: impl Iterator<Item = JobResult<'a>>) -> Result<Vec<JobId>, Fault> {
    let mut columns = ResultColumns::default();
    let mut delays = Vec::new();
    for (record, transition) in results {
        columns.push(record, transition);
        delays.push(transition.delay.as_secs_f64());
    }
    Ok(sqlx::query_scalar(include_str!("sql/explain_jobs.sql"))
        .bind(columns.ids)
        .bind(columns.claims)
        .bind(columns.errors)
        .bind(delays)
        .fetch_all(db)
        .await?)
}

/// The jobs whose results were refused.
fn refusals(results: &[JobResult<'_>], refused: Vec<RefusedRow>) -> impl Iterator<Item = (JobId, Fault)> {
    refused.into_iter().map(move |RefusedRow { row, fault }| (results[row].0.id, fault))
}

/// Lets jobs wait in their queues again. Returns those whose claim still held.
async fn return_to_queue<'a>(
    db: &Db,
    results: impl Iterator<Item = JobResult<'a>>,
) -> Result<Vec<JobId>, Fault> {
    let mut columns = ResultColumns::default();
    let (mut delays, mut refusals) = (Vec::new(), Vec::new());
    for (record, transition) in results {
        columns.push(record, transition);
        let refunded = i32::from(transition.refunds_attempt && record.begun);
        columns.attempts.push(record.attempts_begun.cast_signed() - refunded);
        delays.push(transition.delay.as_secs_f64());
        refusals.push(transition.refused_by.as_ref().map(|build| &*build.0));
    }
    if columns.ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar(include_str!("sql/return_jobs.sql"))
        .bind(columns.ids)
        .bind(columns.claims)
        .bind(columns.statuses)
        .bind(columns.errors)
        .bind(delays)
        .bind(columns.attempts)
        .bind(refusals)
        .fetch_all(db)
        .await?)
}

/// The results of a batch, column by column.
#[derive(Default)]
struct ResultColumns<'a> {
    ids: Vec<JobId>,
    claims: Vec<i32>,
    statuses: Vec<&'static str>,
    errors: Vec<Option<&'a str>>,
    attempts: Vec<i32>,
}

impl<'a> ResultColumns<'a> {
    fn push(&mut self, record: &JobRecord, transition: &'a Transition) {
        self.ids.push(record.id);
        self.claims.push(record.claim);
        self.statuses.push(transition.status.as_str());
        self.errors.push(transition.error.as_deref());
    }
}

/// Reads the column `status`.
pub(super) fn status(row: &PgRow) -> sqlx::Result<JobStatus> {
    let status: &str = row.try_get("status")?;
    let unknown = || sqlx::Error::Decode(format!("`{status}` is no status of a job").into());
    JobStatus::parse(status).ok_or_else(unknown)
}

fn queue_names(queues: Option<Vec<String>>) -> BTreeSet<Arc<str>> {
    queues.into_iter().flatten().map(Arc::from).collect()
}

fn record(row: &PgRow) -> sqlx::Result<JobRecord> {
    let attempt: i32 = row.try_get("attempt")?;
    let attempts_max: i32 = row.try_get("attempts_max")?;
    let args: String = row.try_get("args")?;
    let trace: Option<String> = row.try_get("trace")?;
    Ok(JobRecord {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        queue: row.try_get::<&str, _>("queue")?.into(),
        claim: row.try_get("claim")?,
        begun: row.try_get("begun")?,
        attempts_begun: attempt.unsigned_abs(),
        attempts_max: attempts_max.unsigned_abs(),
        args: args.into(),
        identity: row.try_get("identity")?,
        trace: trace.as_deref().and_then(TraceContext::parse),
        waited: waited(row)?,
        refused_by: row.try_get::<Option<_>, _>("refused_by")?.unwrap_or_default(),
    })
}

fn waited(row: &PgRow) -> sqlx::Result<Duration> {
    Ok(Duration::from_secs_f64(row.try_get::<f64, _>("waited")?.max(0.0)))
}
