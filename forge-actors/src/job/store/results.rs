//! Results of attempts.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::{Hold, JobRecord, JobStore, LOCK_LIMIT, LostJob, end, lock_batches};
use crate::app::JobStatus;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::job::state::{Transition, is_finished};
use crate::kernel::fault::Fault;
use crate::kernel::halving::{HalvedBatch, RefusedRow, write_by_halves};
use crate::kernel::ids::{JobId, LeaseId};

/// The last error of a job whose worker was lost.
const WORKER_LOST: &str = "the worker that held the job was lost";

/// What is to be written about a job.
pub(in crate::job) type JobResult<'a> = (&'a JobRecord, &'a Transition);

/// What became of the results of a batch.
pub(in crate::job) struct WrittenResults {
    /// The jobs that were still held.
    pub(in crate::job) accepted: HashSet<JobId>,
    /// The jobs whose result the database refused, and why.
    pub(in crate::job) refused: HashMap<JobId, Fault>,
}

/// The statement that writes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Write {
    /// The job succeeded, and a batch lease holds it.
    Complete,
    /// A batch lease holds the job, which leaves it without success.
    Release,
    /// The job ends, and its own row holds it.
    Finish,
    /// The job waits again, and its own row holds it.
    Return,
}

impl Write {
    fn of((record, transition): &JobResult<'_>) -> Self {
        match (record.hold, transition.status) {
            (Hold::Batch(_), JobStatus::Completed) => Self::Complete,
            (Hold::Batch(_), _) => Self::Release,
            (Hold::Row(_), status) if is_finished(status) => Self::Finish,
            (Hold::Row(_), _) => Self::Return,
        }
    }
}

impl JobStore {
    /// Writes the results of attempts. A result that is neither accepted nor refused is of an attempt that
    /// has lost its job. The batch leases `ended`, which hold no job, are deleted when a job of another one
    /// is completed; returns whether they were.
    pub(in crate::job) async fn write_results(
        &self,
        results: &[JobResult<'_>],
        ended: &[LeaseId],
    ) -> Result<(WrittenResults, bool), Fault> {
        let mut all = WrittenResults { accepted: HashSet::new(), refused: HashMap::new() };
        let mut has_completed = false;
        for write in [Write::Complete, Write::Release, Write::Finish, Write::Return] {
            let part: Vec<JobResult<'_>> =
                results.iter().copied().filter(|result| Write::of(result) == write).collect();
            let HalvedBatch { written, refused } = self.write(write, &part, ended).await?;
            has_completed |= write == Write::Complete && !written.is_empty();
            all.accepted.extend(written.into_iter().flatten());
            all.refused.extend(refusals(&part, refused));
        }
        Ok((all, has_completed))
    }

    async fn write(
        &self,
        write: Write,
        results: &[JobResult<'_>],
        ended: &[LeaseId],
    ) -> Result<HalvedBatch<Vec<JobId>>, Fault> {
        let db = self.database.jobs();
        write_by_halves(results.len(), |part| {
            let (db, part) = (&db, &results[part]);
            async move {
                match write {
                    Write::Complete => complete_in_batches(db, part, ended).await,
                    Write::Release => release(&self.database, part).await,
                    Write::Finish => finish(db, part).await,
                    Write::Return => return_to_queue(db, part).await,
                }
            }
        })
        .await
    }

    /// Takes jobs out of their batch leases whose workers were lost. They wait again, and count a loss.
    pub async fn release_lost(&self, jobs: &[LostJob]) -> Result<(), Fault> {
        let mut columns = ResultColumns::default();
        for lost in jobs {
            columns.ids.push(lost.job);
            columns.statuses.push(JobStatus::Pending.as_str());
            columns.errors.push(Some(WORKER_LOST));
            columns.delays.push(0.0);
            columns.attempts.push(lost.attempts.cast_signed());
            columns.refused_by.push(None);
        }
        let leases = jobs.iter().map(|lost| lost.lease).collect();
        write_release(&self.database, leases, columns, true).await?;
        Ok(())
    }

    /// Makes the errors of these transitions the last errors of their jobs, whose results were all refused,
    /// and has their leases run out after the delays. Changes the error and the time of the lease alone: a
    /// constraint or trigger that refuses the new status need not refuse these. Returns the jobs that were
    /// changed. The error of a job in a batch lease is noted at the lease.
    pub(in crate::job) async fn explain(&self, results: &[JobResult<'_>]) -> Result<HashSet<JobId>, Fault> {
        let db = self.database.jobs();
        let explained = write_by_halves(results.len(), |part| {
            let (db, part) = (&db, &results[part]);
            async move {
                let mut jobs = explain_rows(db, part).await?;
                jobs.extend(explain_batches(db, part).await?);
                Ok(jobs)
            }
        });
        Ok(explained.await?.written.into_iter().flatten().collect())
    }
}

/// Writes in the transaction of `db` that a job has succeeded with `result`. Returns false when the attempt
/// has lost its job.
pub(in crate::job) async fn complete(
    db: &Db,
    record: &JobRecord,
    result: Option<Bytes>,
) -> Result<bool, Fault> {
    let completed = Transition::completed(result);
    let result = [(record, &completed)];
    let completed = match record.hold {
        Hold::Batch(_) => complete_in_batches(db, &result, &[]).await?,
        Hold::Row(_) => finish(db, &result).await?,
    };
    Ok(!completed.is_empty())
}

/// Lets a job wait again in the transaction of `db`, as if its attempt had not been. Returns false when the
/// attempt has lost its job.
pub(in crate::job) async fn suspend(db: &Db, record: &JobRecord) -> Result<bool, Fault> {
    let result = [(record, &Transition::SUSPENDED)];
    let left = match record.hold {
        Hold::Batch(lease) => release_on(db, &[lease], ResultColumns::of(&result), false).await?,
        Hold::Row(_) => return_to_queue(db, &result).await?,
    };
    Ok(!left.is_empty())
}

/// The jobs whose results were refused.
fn refusals(results: &[JobResult<'_>], refused: Vec<RefusedRow>) -> impl Iterator<Item = (JobId, Fault)> {
    refused.into_iter().map(move |RefusedRow { row, fault }| (results[row].0.id, fault))
}

/// Writes jobs of batch leases into the history as completed.
async fn complete_in_batches(
    db: &Db,
    results: &[JobResult<'_>],
    ended: &[LeaseId],
) -> Result<Vec<JobId>, Fault> {
    let records = || results.iter().map(|(record, _)| *record);
    let text = |args| std::str::from_utf8(args).expect("arguments were read as text");
    Ok(sqlx::query_scalar(include_str!("../sql/finish_leased_jobs.sql"))
        .bind(records().filter_map(JobRecord::batch).collect::<Vec<_>>())
        .bind(records().map(|record| record.id).collect::<Vec<_>>())
        .bind(records().map(|record| record.name.as_str()).collect::<Vec<_>>())
        .bind(records().map(|record| &*record.queue).collect::<Vec<_>>())
        .bind(records().map(|record| record.priority).collect::<Vec<_>>())
        .bind(records().map(|record| record.attempts_begun.cast_signed()).collect::<Vec<_>>())
        .bind(records().map(|record| record.attempts_max.cast_signed()).collect::<Vec<_>>())
        .bind(records().map(|record| record.claim).collect::<Vec<_>>())
        .bind(records().map(|record| text(&record.args)).collect::<Vec<_>>())
        .bind(records().map(|record| record.identity.as_deref()).collect::<Vec<_>>())
        .bind(records().map(|record| record.trace.as_deref()).collect::<Vec<_>>())
        .bind(records().map(|record| record.last_error.as_deref()).collect::<Vec<_>>())
        .bind(records().map(|record| record.created_at).collect::<Vec<_>>())
        .bind(ended)
        .bind(sparse(results.iter().map(|(_, transition)| result_text(transition)).collect()))
        .fetch_all(db)
        .await?)
}

/// Takes jobs out of their batch leases, into their queues or into the history.
async fn release(database: &Database, results: &[JobResult<'_>]) -> Result<Vec<JobId>, Fault> {
    let leases = results.iter().filter_map(|(record, _)| record.batch()).collect();
    write_release(database, leases, ResultColumns::of(results), false).await
}

/// Two statements, because the second one must see what the transactions have written that the first one has
/// waited for. `are_lost`: each of the jobs counts a loss.
async fn write_release(
    database: &Database,
    leases: Vec<LeaseId>,
    columns: ResultColumns<'_>,
    are_lost: bool,
) -> Result<Vec<JobId>, Fault> {
    let tx = database.begin_of_jobs(TransactionOptions::new("forge.jobs", LOCK_LIMIT)).await?;
    let written = release_on(&tx.db(), &leases, columns, are_lost).await;
    end(tx, written).await
}

/// As [`write_release`], in the transaction of `db`.
async fn release_on(
    db: &Db,
    leases: &[LeaseId],
    columns: ResultColumns<'_>,
    are_lost: bool,
) -> Result<Vec<JobId>, Fault> {
    lock_batches(db, leases).await?;
    Ok(sqlx::query_scalar(include_str!("../sql/release_jobs.sql"))
        .bind(leases)
        .bind(&columns.ids)
        .bind(&columns.statuses)
        .bind(&columns.errors)
        .bind(&columns.delays)
        .bind(&columns.attempts)
        .bind(&columns.refused_by)
        .bind(are_lost)
        .bind(sparse(columns.failures))
        .fetch_all(db)
        .await?)
}

/// Moves jobs that their own rows hold into the history. Returns those whose claim still held.
async fn finish(db: &Db, results: &[JobResult<'_>]) -> Result<Vec<JobId>, Fault> {
    let columns = ResultColumns::of(results);
    Ok(sqlx::query_scalar(include_str!("../sql/finish_jobs.sql"))
        .bind(columns.ids)
        .bind(columns.claims)
        .bind(columns.statuses)
        .bind(columns.errors)
        .bind(columns.attempts)
        .bind(sparse(results.iter().map(|(_, transition)| result_text(transition)).collect()))
        .bind(sparse(columns.failures))
        .fetch_all(db)
        .await?)
}

/// A column of which most values are null in most batches: when all of them are, no bytes are sent. UNNEST
/// fills the end of a shorter array with nulls.
fn sparse(values: Vec<Option<&str>>) -> Vec<Option<&str>> {
    if values.iter().all(Option::is_none) { Vec::new() } else { values }
}

fn result_text(transition: &Transition) -> Option<&str> {
    transition.result.as_deref().map(|json| std::str::from_utf8(json).expect("JSON is text"))
}

/// Lets jobs that their own rows hold wait in their queues again. Returns those whose claim still held.
async fn return_to_queue(db: &Db, results: &[JobResult<'_>]) -> Result<Vec<JobId>, Fault> {
    let columns = ResultColumns::of(results);
    Ok(sqlx::query_scalar(include_str!("../sql/return_jobs.sql"))
        .bind(columns.ids)
        .bind(columns.claims)
        .bind(columns.statuses)
        .bind(columns.errors)
        .bind(columns.delays)
        .bind(columns.attempts)
        .bind(columns.refused_by)
        .fetch_all(db)
        .await?)
}

/// Writes the refusals as `last_error`. Returns the jobs whose claim still held.
async fn explain_rows(db: &Db, results: &[JobResult<'_>]) -> Result<Vec<JobId>, Fault> {
    let rows: Vec<JobResult<'_>> =
        results.iter().copied().filter(|(record, _)| record.batch().is_none()).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let columns = ResultColumns::of(&rows);
    Ok(sqlx::query_scalar(include_str!("../sql/explain_jobs.sql"))
        .bind(columns.ids)
        .bind(columns.claims)
        .bind(columns.errors)
        .bind(columns.delays)
        .fetch_all(db)
        .await?)
}

/// Notes the refusals at the batch leases. Returns the jobs whose lease still holds.
async fn explain_batches(db: &Db, results: &[JobResult<'_>]) -> Result<Vec<JobId>, Fault> {
    let in_batches = results.iter().filter_map(|(record, transition)| {
        Some((record.batch()?, record.id, transition.error.as_deref(), transition.delay.as_secs_f64()))
    });
    let mut explained = Vec::new();
    for (lease, job, error, delay) in in_batches {
        let noted: Option<LeaseId> = sqlx::query_scalar(include_str!("../sql/explain_batch_lease.sql"))
            .bind(lease)
            .bind(error)
            .bind(delay)
            .fetch_optional(db)
            .await?;
        explained.extend(noted.map(|_| job));
    }
    Ok(explained)
}

/// The results of a batch, column by column.
#[derive(Default)]
struct ResultColumns<'a> {
    ids: Vec<JobId>,
    claims: Vec<i32>,
    statuses: Vec<&'static str>,
    errors: Vec<Option<&'a str>>,
    failures: Vec<Option<&'a str>>,
    /// Attempts that are spent.
    attempts: Vec<i32>,
    /// Seconds to wait.
    delays: Vec<f64>,
    refused_by: Vec<Option<&'a str>>,
}

impl<'a> ResultColumns<'a> {
    fn of(results: &[JobResult<'a>]) -> Self {
        let mut columns = Self::default();
        for (record, transition) in results {
            let spent =
                if transition.refunds_attempt { record.attempts_before() } else { record.attempts_begun };
            columns.ids.push(record.id);
            columns.claims.push(record.claim);
            columns.statuses.push(transition.status.as_str());
            columns.errors.push(transition.error.as_deref());
            columns.failures.push(transition.failure.as_deref());
            columns.attempts.push(spent.cast_signed());
            columns.delays.push(transition.delay.as_secs_f64());
            columns.refused_by.push(transition.refused_by.as_ref().map(|build| &*build.0));
        }
        columns
    }
}
