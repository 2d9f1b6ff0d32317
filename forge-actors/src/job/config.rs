//! `[jobs]` in forge.toml.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::limits::RETENTION_MAX;
use crate::kernel::time::{days, format_duration, minutes, secs, serde_duration};
use crate::subsystem::ConfigSection;

/// The shortest lease. It is renewed every quarter of it, so a busy machine may miss two renewals in a row.
const LEASE_MIN: Duration = secs(2);
/// Dispatches wake no claimer for jobs that are due later than after two of these (`app/new_job.rs`).
const POLL_INTERVAL_MAX: Duration = secs(5);
/// The longest lease: the jobs of a lost node wait for so long.
const LEASE_MAX: Duration = days(1);
/// Lines of a job that may be kept: each has up to 1 KiB.
const LOG_LINES_MAX: u32 = 1_000;
/// Workers of one node.
const CONCURRENCY_MAX: u32 = 1_000;

/// How a node with the role `worker` runs jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobConfig {
    /// Jobs that run at the same time on this node; further jobs wait in the table.
    pub concurrency: u32,
    /// How many jobs this node may claim beyond those that run, when jobs are short. They have not begun: on
    /// shutdown they are returned to their queues, and when the node is lost they have spent no attempt.
    pub prefetch_max: u32,
    /// Bytes of arguments that one claim takes, and that the jobs have that are claimed beyond those that
    /// run. Large jobs are claimed a few at a time.
    pub prefetch_bytes_max: usize,
    /// Part of `concurrency` that is open to all jobs, more than 0 and at most 1. The other workers are kept
    /// for queues that run nothing: one for each of them, as long as there are some. So long jobs of one
    /// queue do not keep every other queue waiting.
    pub queue_share: f64,
    /// How often a claimer polls its queues, besides the hints. A job whose hint was lost starts up to this
    /// much later. A claimer whose last 10 polls found nothing polls half as often, so that such a job starts
    /// up to twice this later.
    #[serde(with = "serde_duration")]
    pub poll_interval: Duration,
    /// How long a node may fail to renew its leases before other nodes take its jobs over.
    #[serde(with = "serde_duration")]
    pub lease: Duration,
    /// How long a stopping node waits for running jobs; then it returns them to their queues, and the attempt
    /// does not count.
    #[serde(with = "serde_duration")]
    pub drain_timeout: Duration,
    /// After this time a job that is due and not claimed is raised by one level of priority (25), and again
    /// after as long, up to 100. 0 lets priorities as they are.
    #[serde(with = "serde_duration")]
    pub age_after: Duration,
    /// The folder in which this node keeps jobs that were dispatched with `ctx.dispatch_buffered` while the
    /// database was away, relative to that of the configuration file.
    pub buffer: PathBuf,
    /// Bytes of jobs that this process keeps there at a time, beside what an earlier one has left; further
    /// ones are refused. 0 turns the buffer off.
    pub buffer_bytes_max: u64,
    /// Lines of `ctx.log` that are kept of each job, the last ones; with 0 they are in the node's log alone.
    pub log_lines_max: u32,
    /// How long finished jobs are kept in the history, unless their handler says otherwise (`retain`).
    #[serde(with = "serde_duration")]
    pub retention: Duration,
    /// How long jobs that failed and dead letters are kept, at least.
    #[serde(with = "serde_duration")]
    pub retention_failed: Duration,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            concurrency: 16,
            prefetch_max: 5_000,
            prefetch_bytes_max: 16 * 1024 * 1024,
            queue_share: 0.75,
            poll_interval: secs(1),
            lease: secs(10),
            drain_timeout: secs(20),
            age_after: minutes(10),
            buffer: PathBuf::from(".forge/job-buffer"),
            buffer_bytes_max: 64 * 1024 * 1024,
            log_lines_max: 100,
            retention: days(7),
            retention_failed: days(30),
        }
    }
}

impl ConfigSection for JobConfig {
    const NAME: &'static str = "jobs";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            broken.push(format!(
                "jobs.concurrency is {}; it must be between 1 and {CONCURRENCY_MAX} (a node that is to run \
                 no jobs has no role `worker`)",
                self.concurrency
            ));
        }
        if !(self.queue_share > 0.0 && self.queue_share <= 1.0) {
            broken.push(format!(
                "jobs.queue_share is {}; it must be more than 0 and at most 1",
                self.queue_share
            ));
        }
        if self.lease < LEASE_MIN {
            broken.push(
                "jobs.lease is shorter than 2s: a node that is busy for a moment would lose its jobs"
                    .to_owned(),
            );
        }
        if self.lease > LEASE_MAX {
            broken.push(
                "jobs.lease is longer than 1d: the jobs of a lost node would wait for so long".to_owned(),
            );
        }
        if self.poll_interval.is_zero() {
            broken.push("jobs.poll_interval is 0: the claimer would poll without a pause".to_owned());
        }
        if self.poll_interval > POLL_INTERVAL_MAX {
            broken.push(format!(
                "jobs.poll_interval is longer than {}: delayed jobs would start late",
                format_duration(POLL_INTERVAL_MAX)
            ));
        }
        if self.log_lines_max > LOG_LINES_MAX {
            broken.push(format!(
                "jobs.log_lines_max is {}; more than {LOG_LINES_MAX} lines of a job belong into a log",
                self.log_lines_max
            ));
        }
        if self.retention > RETENTION_MAX {
            broken.push("jobs.retention is longer than 36500d, a hundred years".to_owned());
        }
        if self.retention_failed > RETENTION_MAX {
            broken.push("jobs.retention_failed is longer than 36500d, a hundred years".to_owned());
        }
        broken
    }
}

impl JobConfig {
    /// Workers that are kept for queues that run nothing, at most.
    pub(super) fn kept_workers(&self) -> usize {
        let open = (f64::from(self.concurrency) * self.queue_share).floor().max(1.0);
        (self.concurrency as usize).saturating_sub(open as usize)
    }

    /// Between two renewals of the leases.
    pub(super) fn renew_every(&self) -> Duration {
        self.lease / 4
    }
}
