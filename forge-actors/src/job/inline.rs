//! Runs jobs without the actors, one after the other in the caller's task: for the tests of an application,
//! each of which has a database of its own.
//!
//! Claims, attempts and results are the statements and decisions of the workers. Two things differ. A failed
//! attempt is repeated at once instead of after its backoff. A lease is never renewed, because nobody else
//! takes jobs of this database over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Jobs;
use super::admin::JobDetail;
use super::completion::JobCompletion;
use super::ends::list_ends;
use super::messages::ReleasedJob;
use super::reporter;
use super::result_batch::write_batch;
use super::state::Transition;
use super::store::{ClaimSize, Claimant, JobRecord};
use super::worker::{attempt, transition_after};
use crate::app::JobStatus;
use crate::app::job_end::JobEnd;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::time::hours;

/// Attempts of one run. A job that dispatches itself would otherwise run for ever.
const ATTEMPTS_MAX: usize = 1_000;
/// Longer than any attempt.
const LEASE: Duration = hours(48);

/// An attempt that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RanAttempt {
    /// The job.
    pub job: JobId,
    /// Wire name of its handler.
    pub handler: String,
    /// Which attempt it was; the first is 1.
    pub attempt: u32,
    /// What became of the job.
    pub status: JobStatus,
    /// Why the attempt failed.
    pub error: Option<String>,
}

impl Jobs {
    /// Runs the jobs whose time has come until none is left, those that they dispatch included. A failed
    /// attempt is repeated at once, until the attempts of its job are spent.
    ///
    /// # Errors
    /// When the database fails, or after 1,000 attempts.
    pub async fn run_inline(&self) -> Result<Vec<RanAttempt>, Fault> {
        let mut ran = Vec::new();
        while let Some(record) = self.claim_next().await? {
            if ran.len() == ATTEMPTS_MAX {
                let message = format!(
                    "{ATTEMPTS_MAX} attempts have run and `{}` still waits: does a job dispatch itself?",
                    record.name
                );
                return Err(Fault::internal(message));
            }
            ran.push(self.run_claimed(record).await?);
        }
        Ok(ran)
    }

    /// Lets this time pass for the jobs that wait for theirs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn advance(&self, time: Duration) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/advance_jobs.sql"))
            .bind(time.as_secs_f64())
            .execute(&self.shared.database.writer())
            .await?;
        Ok(())
    }

    /// Makes the jobs due that wait for their time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn make_due(&self) -> Result<(), Fault> {
        let db = self.shared.database.writer();
        sqlx::query(include_str!("sql/make_jobs_due.sql")).execute(&db).await?;
        Ok(())
    }

    /// The jobs of handlers with these names, finished or not, in the order of their dispatch; all jobs
    /// without names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dispatched(&self, names: Option<&[&str]>) -> Result<Vec<JobDetail>, Fault> {
        let db = self.shared.database.reader();
        Ok(sqlx::query_as(include_str!("sql/list_dispatched.sql")).bind(names).fetch_all(&db).await?)
    }

    /// How a followed job has ended; `None` while it has not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_of(&self, job: JobId) -> Result<Option<JobEnd>, Fault> {
        let ends = list_ends(&self.shared.database.reader(), &[job]).await?.ends;
        Ok(ends.into_iter().map(|(_, end)| end).next())
    }

    async fn claim_next(&self) -> Result<Option<JobRecord>, Fault> {
        let shared = &self.shared;
        let promoted = shared.store.promote().await?;
        let size = ClaimSize { limit: 1, begin: 1, bytes_max: 1 };
        let claimant = Claimant {
            node: shared.node,
            names: &shared.names,
            lease: LEASE,
            batch: None,
            limited: &[],
            needing: &[],
        };
        // Those of Forge's own jobs are found as polls find them.
        for queue in shared.queues().into_iter().chain(promoted.waiting) {
            let claimed = shared.store.claim(&queue, claimant, size).await?;
            if let Some(record) = claimed.records.into_iter().next() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    async fn run_claimed(&self, record: JobRecord) -> Result<RanAttempt, Fault> {
        let shared = &self.shared;
        let job = shared.leases.insert(record, Instant::now(), LEASE);
        let record = Arc::clone(&job.record);
        let completion = Arc::new(JobCompletion::new(Arc::clone(shared), Arc::clone(&record)));
        let never = std::future::pending();
        let result = attempt(shared, &record, Arc::clone(&completion), job.lease(), never).await;
        let transition = if completion.is_committed() {
            Transition::COMPLETED
        } else if completion.is_suspended() {
            Transition::SUSPENDED
        } else {
            let transition = at_once(transition_after(shared, &record, &result));
            let has_reported = completion.has_reported();
            self.write(ReleasedJob { job, transition, has_reported }).await?
        };
        reporter::write(shared, shared.reports.take(false)).await?;
        Ok(RanAttempt {
            job: record.id,
            handler: record.name.to_string(),
            attempt: record.attempts_begun,
            status: transition.status,
            error: transition.error,
        })
    }

    /// Writes the result of an attempt, and returns what was written.
    async fn write(&self, released: ReleasedJob) -> Result<Transition, Fault> {
        let batch = [released];
        let written = write_batch(&self.shared.store, &batch, &[]).await?;
        self.shared
            .reports
            .ended(&batch[0].ended(batch[0].transition.status).into_iter().collect::<Vec<_>>());
        let unwritable = || Fault::new(Code::Internal, "the database refuses every result of this attempt");
        written.transition(&batch[0]).cloned().ok_or_else(unwritable)
    }
}

/// The next attempt follows at once; a job that was snoozed waits as it asked to.
fn at_once(transition: Transition) -> Transition {
    let repeated = transition.status == JobStatus::Retry;
    Transition { delay: if repeated { Duration::ZERO } else { transition.delay }, ..transition }
}
