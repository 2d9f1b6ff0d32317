//! A claimed job, as its row says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::app::JobStatus;
use crate::kernel::ids::{JobId, LeaseId};
use crate::kernel::invocation::Identity;
use crate::kernel::resource::ResourceNeeds;
use crate::kernel::time::Timestamp;
use crate::kernel::trace::TraceContext;

/// A claimed job.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// The queue that it waited in.
    pub queue: Arc<str>,
    /// 0 to 100; within a queue larger ones run first.
    pub priority: i16,
    /// What holds it for this node.
    pub hold: Hold,
    /// True when its attempt has begun. The begin of a job that its own row holds is written.
    pub begun: bool,
    /// Attempts that have begun and count, the present one included once it has begun.
    pub attempts_begun: u32,
    /// Attempts that it has.
    pub attempts_max: u32,
    /// How often it was claimed.
    pub claim: i32,
    /// The arguments object, as JSON.
    pub args: Bytes,
    /// The identity of the dispatcher, as JSON. The worker parses it, because an identity that cannot be read
    /// must not fail the claim of the other jobs.
    pub identity: Option<String>,
    /// `traceparent` of the dispatching call.
    pub trace: Option<String>,
    /// Why the attempt before failed.
    pub last_error: Option<String>,
    /// When it was dispatched.
    pub created_at: Timestamp,
    /// How long the job waited after its time had come: until its claim, or until its begin once it has
    /// begun.
    pub waited: Duration,
    /// Builds that could not read the arguments.
    pub refused_by: Vec<String>,
    /// Key of its concurrency limit.
    pub concurrency_key: Option<String>,
    /// Key of its rate limit.
    pub rate_key: Option<String>,
    /// What an attempt takes of its node's resources.
    pub resources: ResourceNeeds,
    /// The time limit of an attempt, where the dispatch named one.
    pub timeout: Option<Duration>,
    /// Clients follow the job.
    pub followed: bool,
    /// Other jobs wait for it.
    pub awaited: bool,
}

/// What holds a claimed job, and what every write about the job names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The job's own row, with the number of the claim, which grows with each claim.
    Row(i32),
    /// A batch lease, which holds the job until the job has left it.
    Batch(LeaseId),
}

impl JobRecord {
    /// Reads a row of sql/claim_jobs.sql that was claimed with the batch lease `lease`.
    pub(super) fn from_row(row: &PgRow, lease: Option<LeaseId>) -> sqlx::Result<Self> {
        // By position: the names of the columns would be looked up for every job.
        let attempt: i32 = row.try_get(7)?;
        let attempts_max: i32 = row.try_get(8)?;
        let claim = row.try_get(5)?;
        let args: String = row.try_get(9)?;
        let batched: bool = row.try_get(4)?;
        let hold = lease.filter(|_| batched).map_or(Hold::Row(claim), Hold::Batch);
        Ok(Self {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            queue: row.try_get::<&str, _>(2)?.into(),
            priority: row.try_get(3)?,
            hold,
            begun: row.try_get(6)?,
            attempts_begun: attempt.unsigned_abs(),
            attempts_max: attempts_max.unsigned_abs(),
            claim,
            args: args.into(),
            identity: row.try_get(10)?,
            trace: row.try_get(11)?,
            last_error: row.try_get(12)?,
            created_at: row.try_get(13)?,
            refused_by: row.try_get::<Option<_>, _>(14)?.unwrap_or_default(),
            waited: seconds(row.try_get(15)?),
            concurrency_key: row.try_get(16)?,
            rate_key: row.try_get(17)?,
            resources: &[],
            timeout: row.try_get::<Option<i64>, _>(18)?.map(|ms| Duration::from_millis(ms.unsigned_abs())),
            followed: row.try_get::<Option<_>, _>(19)?.unwrap_or_default(),
            awaited: row.try_get::<Option<_>, _>(20)?.unwrap_or_default(),
        })
    }

    /// The tenant of its dispatcher.
    pub(in crate::job) fn tenant(&self) -> Option<String> {
        let identity: Identity = serde_json::from_str(self.identity.as_deref()?).ok()?;
        identity.tenant
    }

    /// The trace of the dispatching call.
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace.as_deref().and_then(TraceContext::parse)
    }

    /// Attempts that have begun before the present one.
    pub fn attempts_before(&self) -> u32 {
        self.attempts_begun - u32::from(self.begun)
    }

    /// The batch lease that holds the job.
    pub fn batch(&self) -> Option<LeaseId> {
        match self.hold {
            Hold::Row(_) => None,
            Hold::Batch(lease) => Some(lease),
        }
    }
}

/// Reads the column `status`.
pub(in crate::job) fn status(row: &PgRow) -> sqlx::Result<JobStatus> {
    let status: &str = row.try_get("status")?;
    let unknown = || sqlx::Error::Decode(format!("`{status}` is no status of a job").into());
    JobStatus::parse(status).ok_or_else(unknown)
}

/// Reads the column `waited`, in seconds.
pub(super) fn waited(row: &PgRow) -> sqlx::Result<Duration> {
    Ok(seconds(row.try_get("waited")?))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}
