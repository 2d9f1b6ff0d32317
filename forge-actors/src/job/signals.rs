//! Metrics of the job subsystem. Values of the label `handler` are wire names of this binary's own jobs,
//! values of `queue` are names of queues that have jobs.

use std::sync::Arc;
use std::time::Duration;

use metrics::Histogram;

use crate::app::job::JobStatus;

/// Counter: attempts that had begun and ended, by `handler` and the `status` of the job after them.
pub const JOB_ATTEMPTS_TOTAL: &str = "forge_job_attempts_total";
/// Counter: results that were refused, because their claim no longer held the job.
pub const JOBS_REFUSED_TOTAL: &str = "forge_jobs_refused_total";
/// Counter: results and begins that the database refused to write, and that were set aside.
pub const JOBS_SET_ASIDE_TOTAL: &str = "forge_job_writes_refused_total";
/// Counter: jobs that were taken from their node because their lease had expired.
pub const JOBS_RESCUED_TOTAL: &str = "forge_jobs_rescued_total";
/// Gauge: jobs that this node holds: claimed, running, or with a result that is not written yet.
pub const JOBS_HELD: &str = "forge_jobs_held";
/// Gauge: jobs of the whole database that are not finished and that this binary has a handler for, by `queue`
/// and `status`; counted once a minute.
pub const JOBS_UNFINISHED: &str = "forge_jobs";
/// Gauge: jobs of the whole database that are not finished and that this binary has no handler for; counted
/// once a minute.
pub const JOBS_WITHOUT_HANDLER: &str = "forge_jobs_without_handler";
/// Gauge: rows of the tables of jobs, by `table` and `state` (`live`, or `dead` row versions that no vacuum
/// has removed), as the server's statistics say once a minute.
pub const JOB_TABLE_ROWS: &str = "forge_job_table_rows";
/// Gauge, bytes: size of the tables of jobs, by `table` and `part` (`rows`, `indexes`); read once a minute.
pub const JOB_TABLE_BYTES: &str = "forge_job_table_bytes";
/// Counter: jobs that were dispatched while the database was away, and that this node has kept on its disk.
pub const JOBS_BUFFERED_TOTAL: &str = "forge_jobs_buffered_total";
/// Gauge: jobs on this node's disk that wait for the database.
pub const JOBS_BUFFERED: &str = "forge_jobs_buffered";
/// Histogram, seconds: from the time of a job to its begin, by `queue`.
pub const JOB_WAIT_SECONDS: &str = "forge_job_wait_seconds";

/// Records how long jobs have waited. Looking the histogram of a queue up costs more than recording, and the
/// next job is mostly of the same queue.
#[derive(Default)]
pub(super) struct WaitRecorder {
    last: Option<(Arc<str>, Histogram)>,
}

impl WaitRecorder {
    pub(super) fn record(&mut self, queue: &Arc<str>, waited: Duration) {
        if self.last.as_ref().is_none_or(|(last, _)| last != queue) {
            let histogram = metrics::histogram!(JOB_WAIT_SECONDS, "queue" => Arc::clone(queue));
            self.last = Some((Arc::clone(queue), histogram));
        }
        if let Some((_, histogram)) = &self.last {
            histogram.record(waited);
        }
    }
}

/// Counts attempts that have ended.
pub(super) fn attempts_ended(handler: &str, status: JobStatus, count: u64) {
    metrics::counter!(JOB_ATTEMPTS_TOTAL, "handler" => handler.to_owned(), "status" => status.as_str())
        .increment(count);
}

/// Counts a result or a begin that the database refused to write.
pub(super) fn set_aside() {
    metrics::counter!(JOBS_SET_ASIDE_TOTAL).increment(1);
}
