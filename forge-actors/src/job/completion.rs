//! One attempt, as its handler's context sees it: the transaction that a job's effect and its end share, and
//! what the handler reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::report::AttemptReports;
use super::shared::JobShared;
use super::store::{self, JobRecord};
use crate::app::job::{Attempt, RunningAttempt};
use crate::app::log::{JobLogLevel, KeepLines};
use crate::change::{Hint, TopicSet};
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::kernel::fault::{Code, Fault};
use crate::test_signals::{Step, pause_point};

/// One attempt, as its handler's context sees it.
pub(super) struct JobCompletion {
    shared: Arc<JobShared>,
    record: Arc<JobRecord>,
    committed: AtomicBool,
    reports: AttemptReports,
}

impl JobCompletion {
    pub(super) fn new(shared: Arc<JobShared>, record: Arc<JobRecord>) -> Self {
        Self { shared, record, committed: AtomicBool::new(false), reports: AttemptReports::default() }
    }

    /// True when the attempt has reported progress or logged a line.
    pub(super) fn has_reported(&self) -> bool {
        self.reports.has_reported()
    }

    /// True when the handler has finished its job with `ctx.commit`.
    pub(super) fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }

    async fn finish(
        &self,
        tx: Transaction,
        result: Option<Bytes>,
        queues: BTreeSet<Arc<str>>,
    ) -> Result<(), Fault> {
        // A renewal may find the row deleted as soon as the commit is done, before this task runs again.
        let guard = self.shared.leases.begin_completion(&self.record);
        // The last statement before the commit, so that the row is locked no longer than the commit takes.
        let failure = match store::complete(&tx.db(), &self.record, result).await {
            Ok(true) => None,
            Ok(false) => Some(Fault::new(
                Code::Conflict,
                "this attempt has lost its job, so its effect was not committed",
            )),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = failure {
            tx.rollback().await;
            return Err(fault);
        }
        pause_point(Step::JobCommitting, &self.record.name).await;
        let receipt = tx.commit().await?;
        guard.committed();
        pause_point(Step::JobCommitted, &self.record.name).await;
        self.committed.store(true, Ordering::Release);
        if self.record.followed || self.has_reported() {
            self.shared.wake_reporter(self.shared.reports.ended(std::iter::once(&*self.record)));
        }
        let mut topics = TopicSet::from_iter(receipt.tables);
        topics.extend(queues);
        self.shared.hints.publish(Hint { xid: receipt.xid, topics });
        Ok(())
    }
}

impl KeepLines for JobCompletion {
    fn keep_line(&self, level: JobLogLevel, line: String) {
        let (record, pending) = (&*self.record, &self.shared.reports);
        let lines_max = self.shared.config.log_lines_max as usize;
        self.shared.wake_reporter(self.reports.line(record, pending, lines_max, level, &line));
    }
}

impl RunningAttempt for JobCompletion {
    fn attempt(&self) -> Attempt {
        Attempt { job: self.record.id, number: self.record.attempts_begun, max: self.record.attempts_max }
    }

    fn time_limit(&self) -> Option<Duration> {
        self.record.timeout
    }

    fn report(&self, progress: f64, message: &str) {
        let (record, pending) = (&*self.record, &self.shared.reports);
        self.shared.wake_reporter(self.reports.progress(record, pending, progress, message));
    }

    fn begin(&self, limit: Duration) -> BoxFuture<'_, Result<Transaction, Fault>> {
        Box::pin(async move {
            if self.is_committed() {
                return Err(Fault::internal(
                    "the job is finished: `commit` ends it, so there is nothing to commit after it",
                ));
            }
            self.shared.database.begin(TransactionOptions::new(&self.record.name, limit)).await
        })
    }

    fn commit(
        &self,
        tx: Transaction,
        result: Option<Bytes>,
        queues: BTreeSet<Arc<str>>,
    ) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.finish(tx, result, queues))
    }
}
