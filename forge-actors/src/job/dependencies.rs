//! Jobs that wait for jobs: parents for their children, the last job of a batch for its members, each job of
//! a chain for the one before. Functions run their statements on the `db` of the caller.
//!
//! ```text
//!   dispatch · suspension ──▶ waiter: waits_for_jobs, not claimable
//!                                │
//!   a job ends ──commit──▶ settle: lock its waiters, record the end ┬ all have ended ────▶ waiter may run
//!                                                                 ├ a step has failed ─▶ waiter is cancelled
//!                                                                 └ a parent is gone ──▶ its children end
//! ```
//!
//! `settle` runs after the commit that ended the job, in a transaction of its own. It locks the waiters
//! first, so of two jobs that end at once the second one finds that it is the last. The settler finds ends
//! that a crash between the two commits has left unrecorded.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::ends::end_of_row;
use super::shared::JobShared;
use super::store::{self, sync_progress};
use crate::app::job::{DependencyKind, JobStatus, WaitedJob};
use crate::app::job_end::JobEnd;
use crate::app::new_job::NewDependency;
use crate::change::Hint;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::kernel::commit::Receipt;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::halving::{RefusedRow, write_by_halves};
use crate::kernel::ids::JobId;
use crate::kernel::limits::JOB_CHAIN_MAX;
use crate::test_signals::{Step, pause_point};

/// Dependencies that one run of the settler reads.
const MISSED_MAX: i64 = 5_000;
/// Results that one statement reads for a running job.
const RESULTS_READ_MAX: usize = 200;
/// Bytes of results that a running job reads together.
const RESULTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Rounds of one `settle` or `reopen`. Each round takes the jobs that the round before has ended or brought
/// back; no chain is longer.
const CASCADES_MAX: usize = JOB_CHAIN_MAX;

/// What follows from ends of jobs.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Queues of the waiters that may run now.
    pub(super) queues: BTreeSet<Arc<str>>,
}

/// Where a look of the settler goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct DependencyPlace {
    waiter: JobId,
    number: i32,
}

/// Ends of jobs that are not recorded for the jobs that wait for them.
#[derive(Debug, Default)]
pub(super) struct MissedEnds {
    /// They have ended.
    pub(super) jobs: Vec<JobId>,
    /// They were cancelled, and have children that wait.
    pub(super) parents: Vec<JobId>,
    /// They wait, and all that they wait for has ended.
    pub(super) stranded: Vec<JobId>,
    /// Where the next look goes on; `None` at the end.
    pub(super) next: Option<DependencyPlace>,
    /// True when a dependency has no recorded end. A page after the first one has open rows before it.
    pub(super) is_open: bool,
}

/// Writes which jobs wait for which, and blocks those that wait.
pub(super) async fn insert(db: &Db, dependencies: &[NewDependency]) -> Result<(), Fault> {
    if dependencies.is_empty() {
        return Ok(());
    }
    sqlx::query(include_str!("sql/insert_dependencies.sql"))
        .bind(dependencies.iter().map(|one| one.waiter).collect::<Vec<_>>())
        .bind(dependencies.iter().map(|one| one.number).collect::<Vec<_>>())
        .bind(dependencies.iter().map(|one| one.job).collect::<Vec<_>>())
        .bind(dependencies.iter().map(|one| one.name.as_str()).collect::<Vec<_>>())
        .bind(dependencies.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    let waiters: BTreeSet<JobId> = dependencies.iter().map(|one| one.waiter).collect();
    block(db, &waiters.into_iter().collect::<Vec<_>>()).await
}

/// Takes jobs that no node holds out of the sight of claims, until those that they wait for have ended.
pub(super) async fn block(db: &Db, waiters: &[JobId]) -> Result<(), Fault> {
    sqlx::query(include_str!("sql/block_jobs.sql")).bind(waiters).execute(db).await?;
    Ok(())
}

/// Records how these jobs have ended for the jobs that wait for them. What the database refuses holds up no
/// other job; the settler tries it again.
pub(super) async fn record_ends(shared: &JobShared, ended: &[JobId]) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    pause_point(Step::JobsSettling, "jobs").await;
    let settle = |part: Range<usize>| settle_ended(&shared.database, &ended[part]);
    let batch = write_by_halves(ended.len(), settle).await?;
    log_refused(ended, &batch.refused);
    for (receipt, settled) in batch.written {
        shared.hints.publish(Hint::of_commit(receipt, settled.queues));
    }
    Ok(())
}

/// As [`settle`], in a transaction of its own.
async fn settle_ended(database: &Database, ended: &[JobId]) -> Result<(Receipt, Settled), Fault> {
    let tx = database.begin(TransactionOptions::new("forge.jobs", store::LOCK_LIMIT)).await?;
    match settle(&tx.db(), ended).await {
        Ok(settled) => Ok((tx.commit().await?, settled)),
        Err(fault) => {
            tx.rollback().await;
            Err(fault)
        }
    }
}

/// Logs of which of the jobs `ended` the database has refused the end.
pub(super) fn log_refused(ended: &[JobId], refused: &[RefusedRow]) {
    for RefusedRow { row, fault } in refused {
        let (job, error) = (ended[*row], error_chain(fault));
        tracing::warn!(%job, error, "end of a job refused by the database: jobs that wait for it wait on");
    }
}

/// Records how the jobs `ended` have ended for the jobs that wait for them, wakes or cancels these, and
/// cancels the children of cancelled parents, in the transaction of `db`.
pub(super) async fn settle(db: &Db, ended: &[JobId]) -> Result<Settled, Fault> {
    let mut settled = Settled::default();
    let mut ended = ended.to_vec();
    for _ in 0..CASCADES_MAX {
        if ended.is_empty() {
            break;
        }
        sqlx::query(include_str!("sql/lock_waiters.sql")).bind(&ended).fetch_all(db).await?;
        let record = sqlx::query_scalar(include_str!("sql/record_ends.sql")).bind(&ended).fetch_all(db);
        let waiters: BTreeSet<JobId> = record.await?.into_iter().collect();
        let waiters: Vec<JobId> = waiters.into_iter().collect();
        let mut consequences = cancel_children(db, &ended).await?;
        if !waiters.is_empty() {
            settled.queues.extend(wake(db, &waiters).await?);
            let cancel = include_str!("sql/cancel_broken_steps.sql");
            let broken = sqlx::query_scalar::<_, JobId>(cancel).bind(&waiters).bind(&ended);
            consequences.extend(broken.fetch_all(db).await?);
        }
        sync_progress(db, &consequences).await?;
        ended = consequences;
    }
    Ok(settled)
}

/// Lets those of the waiters run that wait for nothing more. Returns their queues.
pub(super) async fn wake(db: &Db, waiters: &[JobId]) -> Result<BTreeSet<Arc<str>>, Fault> {
    if waiters.is_empty() {
        return Ok(BTreeSet::new());
    }
    let queues: Vec<String> =
        sqlx::query_scalar(include_str!("sql/wake_waiters.sql")).bind(waiters).fetch_all(db).await?;
    Ok(queues.into_iter().map(Arc::from).collect())
}

/// Ends the waiting children of those of `parents` that were cancelled. Returns the children.
async fn cancel_children(db: &Db, parents: &[JobId]) -> Result<Vec<JobId>, Fault> {
    Ok(sqlx::query_scalar(include_str!("sql/cancel_children.sql")).bind(parents).fetch_all(db).await?)
}

/// Jobs were brought back from the history, in the transaction of `db`: the jobs that wait for them wait
/// again, also the jobs of a chain that their ends had cancelled.
pub(super) async fn reopen(db: &Db, jobs: &[JobId]) -> Result<(), Fault> {
    let mut back = jobs.to_vec();
    for _ in 0..CASCADES_MAX {
        if back.is_empty() {
            break;
        }
        sqlx::query(include_str!("sql/lock_family.sql")).bind(&back).fetch_all(db).await?;
        let reopen = sqlx::query_scalar(include_str!("sql/reopen_dependencies.sql")).bind(&back);
        back = reopen.fetch_all(db).await?;
        sync_progress(db, &back).await?;
    }
    Ok(())
}

/// The jobs that `job` has waited for, or waits for.
pub(super) async fn waited(db: &Db, job: JobId) -> Result<Vec<WaitedJob>, Fault> {
    let rows = sqlx::query(include_str!("sql/list_dependencies.sql")).bind(job).fetch_all(db).await?;
    rows.iter().map(read_waited).collect()
}

fn read_waited(row: &PgRow) -> Result<WaitedJob, Fault> {
    let unknown = |label: &str| Fault::new(Code::Internal, format!("`{label}` is unknown to this version"));
    let (kind, ended): (&str, Option<&str>) = (row.try_get("kind")?, row.try_get("ended")?);
    let ended = ended.map(|label| JobStatus::parse(label).ok_or_else(|| unknown(label))).transpose()?;
    let kind = DependencyKind::parse(kind).ok_or_else(|| unknown(kind))?;
    Ok(WaitedJob { job: row.try_get("job_id")?, name: row.try_get("name")?, kind, ended })
}

/// How those of `jobs` have ended that are in the history.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` when their results are larger together than [`RESULTS_BYTES_MAX`].
pub(crate) async fn ends(db: &Db, jobs: &[JobId]) -> Result<HashMap<JobId, JobEnd>, Fault> {
    let (mut ends, mut bytes) = (HashMap::new(), 0);
    for part in jobs.chunks(RESULTS_READ_MAX) {
        let list = sqlx::query(include_str!("sql/list_outcomes_of_jobs.sql")).bind(part);
        for row in list.fetch_all(db).await? {
            let job: JobId = row.try_get("id")?;
            let Some(end) = end_of_row(&row, store::status(&row)?)? else { continue };
            if let JobEnd::Completed(Some(result)) = &end {
                bytes += result.len();
            }
            if bytes > RESULTS_BYTES_MAX {
                let text = format!(
                    "the results of the jobs are larger than {RESULTS_BYTES_MAX} bytes together: read them \
                     one by one with `ctx.result(..)`"
                );
                return Err(Fault::new(Code::PayloadTooLarge, text).without_retry());
            }
            ends.insert(job, end);
        }
    }
    Ok(ends)
}

/// Looks for ends of jobs that are not recorded for the jobs that wait for them.
pub(super) async fn find_missed(db: &Db, after: Option<DependencyPlace>) -> Result<MissedEnds, Fault> {
    let row = sqlx::query(include_str!("sql/list_missed_ends.sql"))
        .bind(after.map(|place| place.waiter))
        .bind(after.map(|place| place.number))
        .bind(MISSED_MAX)
        .fetch_one(db)
        .await?;
    let (waiter, number): (Option<JobId>, Option<i32>) =
        (row.try_get("next_waiter")?, row.try_get("next_number")?);
    Ok(MissedEnds {
        jobs: row.try_get::<Option<_>, _>("ended")?.unwrap_or_default(),
        parents: row.try_get::<Option<_>, _>("cancelled_parents")?.unwrap_or_default(),
        stranded: row.try_get::<Option<_>, _>("stranded")?.unwrap_or_default(),
        is_open: after.is_some() || row.try_get("is_open")?,
        next: waiter.zip(number).map(|(waiter, number)| DependencyPlace { waiter, number }),
    })
}
