//! One attempt, as its handler's context sees it: the transaction that a job's effect and its end share, and
//! what the handler reports.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::dependencies;
use super::report::{AttemptReports, EndedJob};
use super::shared::JobShared;
use super::store::{self, JobRecord};
use crate::app::job::{Attempt, RunningAttempt, WaitedJob};
use crate::app::job_end::JobEnd;
use crate::app::log::{JobLogLevel, KeepLines};
use crate::change::Hint;
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::test_signals::{Step, pause_point};

/// One attempt, as its handler's context sees it.
pub(super) struct JobCompletion {
    shared: Arc<JobShared>,
    record: Arc<JobRecord>,
    committed: AtomicBool,
    suspended: AtomicBool,
    reports: AttemptReports,
}

impl JobCompletion {
    pub(super) fn new(shared: Arc<JobShared>, record: Arc<JobRecord>) -> Self {
        Self {
            shared,
            record,
            committed: AtomicBool::new(false),
            suspended: AtomicBool::new(false),
            reports: AttemptReports::default(),
        }
    }

    /// True when the handler has had its job suspended.
    pub(super) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Has the state of the job passed on to its followers and to the jobs that wait for it.
    fn report(&self, is_finished: bool) {
        if let Some(ended) = EndedJob::of(&self.record, self.has_reported(), is_finished) {
            self.shared.wake_reporter(self.shared.reports.ended(&[ended]));
        }
    }

    /// Lets the job wait for others in `tx`, and commits.
    async fn leave(&self, tx: Transaction, queues: BTreeSet<Arc<str>>) -> Result<(), Fault> {
        let guard = self.shared.leases.begin_completion(&self.record);
        let db = tx.db();
        let left = async {
            if !store::suspend(&db, &self.record).await? {
                let text = "this attempt has lost its job, so its children were not dispatched";
                return Err(Fault::new(Code::Conflict, text));
            }
            dependencies::block(&db, &[self.record.id]).await?;
            // All of them may have ended already, when a person has brought one back meanwhile.
            dependencies::wake(&db, &[self.record.id]).await
        };
        let woken = match left.await {
            Ok(woken) => woken,
            Err(fault) => {
                tx.rollback().await;
                return Err(fault);
            }
        };
        let receipt = tx.commit().await?;
        guard.left();
        self.suspended.store(true, Ordering::Release);
        self.shared.free_slots(&self.record);
        self.report(false);
        self.shared.hints.publish(Hint::of_commit(receipt, queues.into_iter().chain(woken)));
        Ok(())
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
        guard.finished();
        pause_point(Step::JobCommitted, &self.record.name).await;
        self.committed.store(true, Ordering::Release);
        self.report(true);
        self.shared.hints.publish(Hint::of_commit(receipt, queues));
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

    fn waited(&self) -> BoxFuture<'_, Result<Vec<WaitedJob>, Fault>> {
        Box::pin(async move { dependencies::waited(&self.shared.database.writer(), self.record.id).await })
    }

    fn ends<'a>(&'a self, jobs: &'a [JobId]) -> BoxFuture<'a, Result<HashMap<JobId, JobEnd>, Fault>> {
        Box::pin(async move { dependencies::ends(&self.shared.database.writer(), jobs).await })
    }

    fn suspend(&self, tx: Transaction, queues: BTreeSet<Arc<str>>) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.leave(tx, queues))
    }

    fn begin(&self, limit: Duration) -> BoxFuture<'_, Result<Transaction, Fault>> {
        Box::pin(async move {
            if self.is_committed() || self.is_suspended() {
                return Err(Fault::internal(
                    "the job is finished or suspended: `commit` ends it and `wait_for_jobs` leaves it, so \
                     there is nothing to commit after them",
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
