//! What a job's author sees: how it is queued and repeated, its attempt, and the transaction that finishes
//! it.
//!
//! A job runs at least once. What it writes inside of `ctx.commit` it writes exactly once: the effect and
//! the job's end are one transaction, which is refused when the attempt has lost its job to another one.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::error::Result;
use crate::app::job_end::JobEnd;
use crate::app::job_key::JobLimits;
use crate::app::log::KeepLines;
use crate::db::transaction::Transaction;
use crate::kernel::ids::JobId;
use crate::kernel::integer::Int53;
use crate::kernel::limits::JOB_DELAY_MAX;
use crate::kernel::resource::ResourceNeeds;

/// How a job is queued and repeated.
#[derive(Debug, Clone, Copy)]
pub struct JobMeta {
    /// The queue it waits in.
    pub queue: &'static str,
    /// 0 to 100; within a queue larger ones run first.
    pub priority: u8,
    /// Attempts until it is a dead letter.
    pub attempts: u32,
    /// How long it waits after a failed attempt.
    pub backoff: RetryBackoff,
    /// Names that queued rows may still carry.
    pub aliases: &'static [&'static str],
    /// What its jobs share with others of the same key.
    pub limits: JobLimits,
    /// How long its finished jobs are kept, in place of `[jobs] retention`.
    pub retain: Option<Duration>,
    /// What an attempt takes of its node's resources.
    pub resources: ResourceNeeds,
    /// What a node must say that it can do (`node.capabilities`) to run the job.
    pub capability: Option<&'static str>,
}

impl JobMeta {
    /// What an attribute that names nothing means.
    pub const DEFAULT: Self = Self {
        queue: "default",
        priority: 50,
        attempts: 10,
        backoff: RetryBackoff::Exponential { base: Duration::from_secs(1), max: Duration::from_secs(3_600) },
        aliases: &[],
        limits: JobLimits::NONE,
        retain: None,
        resources: &[],
        capability: None,
    };
}

/// A handler that runs as a job, as an administrator sees it.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHandler {
    /// Its wire name, or an alias.
    pub name: String,
    /// The queue that it names.
    pub queue: String,
    /// Its arguments hold secrets, so that jobs are not looked for by them.
    pub hides_arguments: bool,
    /// What a node must say that it can do to run its jobs.
    pub capability: Option<String>,
    /// What an attempt takes of its node.
    pub resources: Vec<JobResource>,
    /// Jobs with one key that may be held at a time.
    pub concurrency: Option<u32>,
}

/// What an attempt at a job takes of its node, of one resource.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResource {
    /// The resource, as `[node] resources` names it.
    pub word: String,
    /// How much.
    pub amount: Int53,
}

/// Which of the jobs of a queue run first: 0 to 100, larger ones first. Five levels have names, in attributes
/// (`priority = high`) and here.
///
/// ```
/// # extern crate forge_actors as forge;
/// use forge::prelude::*;
/// assert!(Priority::CRITICAL > Priority::HIGH && Priority::of(51) > Priority::NORMAL);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// 0: what may wait until nothing else does.
    pub const BACKGROUND: Self = Self(0);
    /// 25.
    pub const LOW: Self = Self(25);
    /// 50: what a job has that says nothing else.
    pub const NORMAL: Self = Self(50);
    /// 75.
    pub const HIGH: Self = Self(75);
    /// 100: before everything else.
    pub const CRITICAL: Self = Self(100);

    /// Any level; one above 100 counts as 100.
    pub const fn of(level: u8) -> Self {
        Self(if level > 100 { 100 } else { level })
    }

    /// The level, 0 to 100.
    pub const fn level(self) -> u8 {
        self.0
    }
}

/// Where a job is in its life; the diagram is in [`job`](mod@crate::job).
#[forge_app_macros::data]
#[serde(rename_all = "snake_case")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobStatus {
    /// Waits for its time and a worker.
    Pending,
    /// Leased to a node, which begins it as soon as a worker is free; no attempt is spent.
    Claimed,
    /// An attempt has begun.
    Running,
    /// Its handler succeeded.
    Completed,
    /// An attempt failed; waits for the next one.
    Retry,
    /// Its arguments do not fit its handler, or its result is too large: no attempt can succeed.
    Failed,
    /// Every attempt failed.
    DeadLetter,
    /// It was ended before it succeeded: by a person, with its parent, or because the job before it in its
    /// chain has failed.
    Cancelled,
}

impl JobStatus {
    /// Every status, in the order of the type in Postgres.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Claimed,
        Self::Running,
        Self::Completed,
        Self::Retry,
        Self::Failed,
        Self::DeadLetter,
        Self::Cancelled,
    ];

    /// The label in Postgres and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::DeadLetter => "dead_letter",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == label)
    }
}

/// How the wait grows from one failed attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryBackoff {
    /// Always as long.
    Fixed(Duration),
    /// One step longer each time.
    Linear {
        /// The first wait, and how much is added.
        step: Duration,
        /// The longest.
        max: Duration,
    },
    /// Twice as long each time.
    Exponential {
        /// The first wait.
        base: Duration,
        /// The longest.
        max: Duration,
    },
}

impl RetryBackoff {
    /// The longest wait after failed attempt `attempt` (1 is the first).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let before = attempt.saturating_sub(1);
        match *self {
            Self::Fixed(delay) => delay,
            Self::Linear { step, max } => step.saturating_mul(attempt.max(1)).min(max),
            Self::Exponential { base, max } => {
                base.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX)).min(max)
            }
        }
    }

    /// The wait after failed attempt `attempt`; `random` is uniform in `0.0..1.0`. Growing waits are drawn
    /// from a tenth of the ceiling up to it, so that jobs that failed together do not come back together; a
    /// fixed one is kept, and drawn out by up to a tenth. No wait is longer than [`JOB_DELAY_MAX`].
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let ceiling = self.ceiling(attempt).min(JOB_DELAY_MAX);
        let random = random.clamp(0.0, 1.0);
        let delay = match self {
            Self::Fixed(_) => ceiling.mul_f64(1.0 + random / 10.0),
            Self::Linear { .. } | Self::Exponential { .. } => ceiling.mul_f64(0.1 + 0.9 * random),
        };
        delay.min(JOB_DELAY_MAX)
    }
}

/// Why a job waits for another one.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencyKind {
    /// The other one is its child.
    Child,
    /// The other one is a member of the batch that it ends.
    Member,
    /// The other one is before it in a chain, and must succeed.
    Step,
}

impl DependencyKind {
    /// The label in Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Child => "child",
            Self::Member => "member",
            Self::Step => "step",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        [Self::Child, Self::Member, Self::Step].into_iter().find(|kind| kind.as_str() == label)
    }
}

/// A job that a running one has waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitedJob {
    /// The job.
    pub job: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// Why it was waited for.
    pub kind: DependencyKind,
    /// How it has ended; `None` while it has not.
    pub ended: Option<JobStatus>,
}

/// Which attempt at which job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The job.
    pub job: JobId,
    /// The first one is 1.
    pub number: u32,
    /// After this one the job is a dead letter.
    pub max: u32,
}

impl Attempt {
    /// No other one follows a failure.
    pub fn is_last(&self) -> bool {
        self.number >= self.max
    }
}

/// Writes what the effect of `ctx.commit` has returned as the result of a job whose handler's type is erased.
pub type ResultOfEffect = fn(&dyn Any) -> Result<Option<Bytes>>;

/// An attempt at a job, as the context of its handler sees it. The job subsystem implements it, so that
/// contexts need not import that subsystem.
pub trait RunningAttempt: KeepLines {
    /// Which one it is.
    fn attempt(&self) -> Attempt;

    /// The time limit of the attempt, where the dispatch named one.
    fn time_limit(&self) -> Option<Duration>;

    /// Notes how far the job is. Written soon, and never waited for.
    fn report(&self, progress: f64, message: &str);

    /// The jobs that the job has waited for, in the order of their dispatch.
    fn waited(&self) -> BoxFuture<'_, Result<Vec<WaitedJob>>>;

    /// How those of `jobs` have ended that are in the history.
    fn ends<'a>(&'a self, jobs: &'a [JobId]) -> BoxFuture<'a, Result<HashMap<JobId, JobEnd>>>;

    /// Lets the job wait for its children, which `tx` has written, commits, and then wakes the workers of
    /// `queues`. Fails with `CONFLICT`, and commits nothing, when another attempt has taken the job over.
    fn suspend(&self, tx: Transaction, queues: BTreeSet<Arc<str>>) -> BoxFuture<'_, Result<()>>;

    /// Begins the transaction of the effect, or of a suspension.
    fn begin(&self, limit: Duration) -> BoxFuture<'_, Result<Transaction>>;

    /// Finishes the job in `tx` with `result`, commits, and then wakes the workers of `queues`. Fails with
    /// `CONFLICT`, and commits nothing, when another attempt has taken the job over.
    fn commit(
        &self,
        tx: Transaction,
        result: Option<Bytes>,
        queues: BTreeSet<Arc<str>>,
    ) -> BoxFuture<'_, Result<()>>;
}
