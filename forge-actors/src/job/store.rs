//! The job room's statements, as verbs over domain types. Every write of a worker is guarded by its claim and
//! answers what it moved.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use super::held::Claim;
use super::state::Verdict;
use super::state::is_finished;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::trace::TraceContext;

/// Jobs that one rescue gives back; more are given back by the next one.
const RESCUE_MAX: i64 = 1_000;
/// A job whose node was lost in attempt n comes back within n - 1 times this, ten times at most.
const RESCUE_SPREAD: Duration = Duration::from_secs(3);
/// Rows of history that one statement deletes.
const SWEEP_MAX: i64 = 5_000;

/// A claimed job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// Where it waited.
    pub queue: String,
    /// Fences the writes of this attempt.
    pub claim: i32,
    /// Its attempt has begun: that is written.
    pub begun: bool,
    /// The attempt that has begun, the first is 1; before that, how many were spent.
    pub attempt: u32,
    /// Attempts that it has.
    pub attempts_max: u32,
    /// The arguments object.
    pub args: Bytes,
    /// Who dispatched it, as it is stored. Read by its worker: one that cannot be read must not fail the
    /// claim of the others.
    pub identity: Option<String>,
    /// The trace of the dispatching call.
    pub trace: Option<TraceContext>,
    /// How long it waited for a worker after its time had come.
    pub waited: Duration,
}

/// A begin that is written: from now on the attempt counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The job.
    pub job: JobId,
    /// The attempt that begins.
    pub attempt: u32,
    /// How long it waited for a worker after its time had come.
    pub waited: Duration,
}

/// What promotion found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted {
    /// Queues that got jobs whose time had come.
    pub queues: BTreeSet<Arc<str>>,
    /// Until the next one's time comes.
    pub next_due: Option<Duration>,
}

/// What a rescue did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Queues of the jobs that wait again.
    pub queues: BTreeSet<Arc<str>>,
    /// How many lost an attempt and are run again.
    pub again: usize,
    /// How many had not begun, and lost nothing.
    pub unbegun: usize,
    /// How many had no attempt left.
    pub dead: usize,
}

/// Rows of one name and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Wire name of the handler.
    pub name: String,
    /// Where they wait.
    pub queue: String,
    /// `pending`, `claimed`, `running` or `retry`.
    pub status: String,
    /// How many.
    pub rows: i64,
}

/// The tables of jobs. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// Begins and renewals take turns: both lock rows of many jobs, in whatever order. They have sessions
    /// that no handler can take: a job whose neighbours wait for a lock must not lose its lease for it.
    turn: Arc<Semaphore>,
}

impl Store {
    /// On this database.
    pub fn new(database: Database) -> Self {
        Self { database, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Claims up to `limit` ready jobs of a queue for a node, in the order in which they should run; the
    /// first `begin` of them begin with it.
    pub async fn claim(
        &self,
        queue: &str,
        names: &[String],
        limit: usize,
        begin: usize,
        node: NodeId,
        lease: Duration,
    ) -> Result<Vec<Job>, Fault> {
        let rows = sqlx::query(include_str!("sql/claim_jobs.sql"))
            .bind(queue)
            .bind(names)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(node)
            .bind(lease.as_secs_f64())
            .bind(i64::try_from(begin).unwrap_or(i64::MAX))
            .fetch_all(&self.database.writer())
            .await?;
        Ok(rows.iter().map(job).collect::<sqlx::Result<_>>()?)
    }

    /// Begins an attempt of each of these claims, and renews their leases; answers those that are still held.
    ///
    /// Free workers wait for the answer, so the commit does not wait for the disk while every job is claimed for
    /// the first time. A begin then outlives its node, but not always a crash of Postgres less than a second
    /// later; the end of the attempt writes the attempt's number once more, and the begin of the next claim is
    /// waited for.
    pub async fn begin(&self, claims: &[Claim], lease: Duration) -> Result<Vec<Begun>, Fault> {
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
            Ok(Begun { job: row.try_get("id")?, attempt: attempt.unsigned_abs(), waited: waited(row)? })
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
            queues: named(queues),
            next_due: next.map(|secs| Duration::from_secs_f64(secs.max(0.0))),
        })
    }

    /// Writes the ends of attempts; answers the jobs whose end was accepted. The others belong to somebody
    /// else.
    pub(super) async fn settle<'a>(
        &self,
        ends: impl Iterator<Item = (&'a Job, &'a Verdict)> + Clone,
    ) -> Result<Vec<JobId>, Fault> {
        let db = self.database.writer();
        let mut accepted =
            finish(&db, ends.clone().filter(|(_, verdict)| is_finished(verdict.status))).await?;
        accepted.extend(give_back(&db, ends.filter(|(_, verdict)| !is_finished(verdict.status))).await?);
        Ok(accepted)
    }

    /// Renews the leases of these claims; answers the jobs that are still held.
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

    /// Gives jobs back whose lease has run out; those that lost the last attempt become dead letters.
    pub async fn rescue(&self) -> Result<Rescued, Fault> {
        let rescue = sqlx::query(include_str!("sql/rescue_jobs.sql"))
            .bind(RESCUE_MAX)
            .bind(RESCUE_SPREAD.as_secs_f64());
        let row = rescue.fetch_one(&self.database.writer()).await?;
        let count = |column| row.try_get(column).map(|count: i64| usize::try_from(count).unwrap_or_default());
        Ok(Rescued {
            queues: named(row.try_get("queues")?),
            again: count("again")?,
            unbegun: count("unbegun")?,
            dead: count("dead")?,
        })
    }

    /// Deletes some of the history that is older than `retention`; answers how much.
    pub async fn sweep(&self, retention: Duration) -> Result<u64, Fault> {
        let sweep = sqlx::query(include_str!("sql/delete_old_history.sql"));
        Ok(sweep
            .bind(retention.as_secs_f64())
            .bind(SWEEP_MAX)
            .execute(&self.database.writer())
            .await?
            .rows_affected())
    }

    /// A sweep deleted as much as it may at a time: there is more.
    pub const fn is_partial(deleted: u64) -> bool {
        deleted >= SWEEP_MAX.unsigned_abs()
    }

    /// Counts the jobs that are not finished.
    pub async fn survey(&self) -> Result<Vec<Count>, Fault> {
        let rows = sqlx::query(include_str!("sql/count_unfinished_jobs.sql"))
            .fetch_all(&self.database.reader())
            .await?;
        let count = |row: &PgRow| {
            Ok(Count {
                name: row.try_get("name")?,
                queue: row.try_get("queue")?,
                status: row.try_get("status")?,
                rows: row.try_get("rows")?,
            })
        };
        Ok(rows.iter().map(count).collect::<sqlx::Result<_>>()?)
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("nobody closes it")
    }
}

/// Moves jobs into the history; answers those that were still held.
pub(super) async fn finish<'a>(
    db: &Db,
    ends: impl Iterator<Item = (&'a Job, &'a Verdict)>,
) -> Result<Vec<JobId>, Fault> {
    let (mut ids, mut claims, mut statuses, mut errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut attempts = Vec::new();
    for (job, verdict) in ends {
        ids.push(job.id);
        claims.push(job.claim);
        statuses.push(verdict.status.as_str());
        errors.push(verdict.error.as_deref());
        attempts.push(job.attempt.cast_signed());
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let finish = sqlx::query_scalar(include_str!("sql/finish_jobs.sql"));
    Ok(finish.bind(ids).bind(claims).bind(statuses).bind(errors).bind(attempts).fetch_all(db).await?)
}

/// Lets jobs wait again; answers those that were still held.
async fn give_back<'a>(
    db: &Db,
    ends: impl Iterator<Item = (&'a Job, &'a Verdict)>,
) -> Result<Vec<JobId>, Fault> {
    let (mut ids, mut claims, mut statuses, mut errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut delays, mut attempts) = (Vec::new(), Vec::new());
    for (job, verdict) in ends {
        ids.push(job.id);
        claims.push(job.claim);
        statuses.push(verdict.status.as_str());
        errors.push(verdict.error.as_deref());
        delays.push(verdict.after.as_secs_f64());
        attempts.push(job.attempt.cast_signed() - i32::from(verdict.gives_back && job.begun));
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let give_back = sqlx::query_scalar(include_str!("sql/return_jobs.sql"));
    Ok(give_back
        .bind(ids)
        .bind(claims)
        .bind(statuses)
        .bind(errors)
        .bind(delays)
        .bind(attempts)
        .fetch_all(db)
        .await?)
}

fn named(queues: Option<Vec<String>>) -> BTreeSet<Arc<str>> {
    queues.into_iter().flatten().map(Arc::from).collect()
}

fn job(row: &PgRow) -> sqlx::Result<Job> {
    let (attempt, attempts_max): (i32, i32) = (row.try_get("attempt")?, row.try_get("attempts_max")?);
    let (args, trace): (String, Option<String>) = (row.try_get("args")?, row.try_get("trace")?);
    Ok(Job {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        queue: row.try_get("queue")?,
        claim: row.try_get("claim")?,
        begun: row.try_get("begun")?,
        attempt: attempt.unsigned_abs(),
        attempts_max: attempts_max.unsigned_abs(),
        args: args.into(),
        identity: row.try_get("identity")?,
        trace: trace.as_deref().and_then(TraceContext::parse),
        waited: waited(row)?,
    })
}

fn waited(row: &PgRow) -> sqlx::Result<Duration> {
    Ok(Duration::from_secs_f64(row.try_get::<f64, _>("waited")?.max(0.0)))
}
