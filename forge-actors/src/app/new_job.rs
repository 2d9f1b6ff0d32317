//! A job on its way into its table.

use std::time::Duration;

use chrono::DateTime;
use futures::future::BoxFuture;

use crate::app::error::Result;
use crate::app::job::DependencyKind;
use crate::app::job_key::JobKeys;
use crate::app::secret::Secret;
use crate::db::handle::Db;
use crate::kernel::ids::JobId;
use crate::kernel::limits::JOB_DELAY_MAX;
use crate::kernel::time::{Timestamp, secs};

/// The latest moment that a job may wait for. Postgres knows later ones, clients do not.
const RUN_AT_MAX: Timestamp =
    DateTime::from_timestamp(253_402_300_799, 0).expect("a moment of the year 9999");

/// Longer than any claimer waits between two polls: twice the largest `jobs.poll_interval`.
const SOON: Duration = secs(10);

/// Inserts dispatched jobs into their table. The job subsystem implements it, so that contexts need not
/// import that subsystem.
pub trait InsertJob: Send + Sync + 'static {
    /// Inserts `job` with one statement on `db`, the transaction of the dispatching call. `identity` is the
    /// JSON of the caller's identity, `trace` the `traceparent` of the call. A unique dispatch that finds a
    /// job takes two or three statements more.
    fn insert<'a>(
        &'a self,
        db: &'a Db,
        job: &'a NewJob,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<DispatchOutcome>>;

    /// Lets `follower` (`app::follower`) follow a job, on `db`, the transaction of the dispatching call.
    fn follow<'a>(&'a self, db: &'a Db, job: JobId, follower: String) -> BoxFuture<'a, Result<()>>;

    /// Writes which jobs wait for which on `db`, the transaction that inserts the jobs, and blocks those that
    /// wait, but for a job that runs: that one is suspended.
    fn depend<'a>(&'a self, db: &'a Db, dependencies: &'a [NewDependency]) -> BoxFuture<'a, Result<()>>;

    /// Inserts `job`, which is neither unique nor followed, outside of the transactions of calls, and wakes
    /// the workers. Jobs that are dispatched at the same time share a statement and a commit. `None` while
    /// the database is away: nothing was tried.
    ///
    /// # Errors
    /// `OUTCOME_UNKNOWN` when the connection broke, or the dispatcher crashed, before the answer came: the
    /// job may exist.
    fn insert_alone<'a>(
        &'a self,
        job: &'a NewJob,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<Option<DispatchOutcome>>>;

    /// Inserts jobs, none of which is unique or followed, in a transaction of their own, and wakes the
    /// workers. False while the database is away, when others took too long, and when the statement failed:
    /// nothing was written, and a mutation, which is run again where that helps, says why.
    ///
    /// # Errors
    /// `OVERLOADED` when no connection was free, `OUTCOME_UNKNOWN` when the connection broke during the
    /// commit: the jobs may exist, all or none.
    fn insert_many_alone<'a>(
        &'a self,
        jobs: &'a [NewJob],
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Inserts jobs with one statement on `db`, of one caller.
    fn insert_many<'a>(
        &'a self,
        db: &'a Db,
        jobs: &'a [NewJob],
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<()>>;
}

/// What a dispatch has done.
#[forge_app_macros::data]
#[serde(rename_all = "snake_case", tag = "kind", content = "job")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DispatchOutcome {
    /// It has made this job.
    New(JobId),
    /// It has found this job with the same key, and changed nothing.
    Existing(JobId),
    /// It has found this job with the same key, which has not begun, and has given it the new arguments and
    /// a new time.
    Deferred(JobId),
    /// The database is away, and this job is kept on the disk of the node until it is back
    /// (`ctx.dispatch_buffered`).
    Buffered(JobId),
}

impl DispatchOutcome {
    /// The job.
    pub fn job(self) -> JobId {
        match self {
            Self::New(job) | Self::Existing(job) | Self::Deferred(job) | Self::Buffered(job) => job,
        }
    }
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
    /// The time limit of an attempt, in milliseconds, in place of its handler's.
    pub timeout_ms: Option<u32>,
    /// Its dispatcher follows it.
    pub followed: bool,
    /// Another job waits for its end.
    pub awaited: bool,
    /// Its keys. Secret as the arguments are, whose values they hold.
    pub keys: Secret<JobKeys>,
    /// The arguments object, as JSON. Secret as a whole, because its parts are not known here.
    pub args: Secret<String>,
}

impl NewJob {
    /// Lets the job wait for this time at least; [`JOB_DELAY_MAX`] at most.
    pub(crate) fn wait_for(&mut self, delay: Duration) {
        self.run_at = None;
        self.after_secs = delay.min(JOB_DELAY_MAX).as_secs_f64();
    }

    /// Lets the job wait until this moment; [`RUN_AT_MAX`] at most.
    pub(crate) fn wait_until(&mut self, moment: Timestamp) {
        self.run_at = Some(moment.min(RUN_AT_MAX));
    }

    /// False for a job that is due so late that a poll of every claimer comes before: no claimer needs to be
    /// woken for it. The time of a job that names a moment, or is debounced, is known to the database only.
    pub(crate) fn wakes_claimers(&self) -> bool {
        let is_known = self.run_at.is_none() && self.keys.expose().unique.is_none();
        !is_known || self.after_secs <= SOON.as_secs_f64()
    }

    /// The job, as one that another job waits for.
    pub(crate) fn awaited(self) -> Self {
        Self { awaited: true, ..self }
    }
}

/// A job that is to wait for another one.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NewDependency {
    /// The job that waits.
    pub waiter: JobId,
    /// The place of the other one among those that it waits for.
    pub number: i32,
    /// The job that it waits for.
    pub job: JobId,
    /// Wire name of the handler of that one.
    pub name: String,
    /// Why it waits.
    pub kind: DependencyKind,
}

impl NewDependency {
    /// Makes `waiter` wait for `jobs`, of which the first one has the place `first`.
    pub(crate) fn of(waiter: JobId, kind: DependencyKind, first: usize, jobs: &[NewJob]) -> Vec<Self> {
        let dependency = |(number, job): (i32, &NewJob)| {
            let (job, name) = (job.id, job.name.as_str().to_owned());
            Self { waiter, number, job, name, kind }
        };
        (i32::try_from(first).unwrap_or(i32::MAX)..).zip(jobs).map(dependency).collect()
    }
}

/// Jobs that are dispatched together, and which of them wait for which.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct JobPlan {
    /// The jobs.
    pub jobs: Vec<NewJob>,
    /// Who waits for whom.
    pub dependencies: Vec<NewDependency>,
}
