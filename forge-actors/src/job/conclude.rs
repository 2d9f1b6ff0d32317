//! The transaction that a job's effect and its end share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;

use super::messages::Room;
use super::state::Verdict;
use super::store::{self, Job};
use crate::app::job::{Attempt, CompleteInTransaction, JobStatus};
use crate::change::{Hint, TopicSet};
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::kernel::fault::{Code, Fault};

/// One attempt, as its handler's context sees it.
pub(super) struct Conclusion {
    room: Arc<Room>,
    job: Arc<Job>,
    committed: AtomicBool,
}

impl Conclusion {
    pub(super) fn new(room: Arc<Room>, job: Arc<Job>) -> Self {
        Self { room, job, committed: AtomicBool::new(false) }
    }

    /// The handler has finished its job itself.
    pub(super) fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }

    async fn finish(&self, tx: Transaction, queues: BTreeSet<Arc<str>>) -> Result<(), Fault> {
        let done =
            Verdict { status: JobStatus::Completed, after: Duration::ZERO, gives_back: false, error: None };
        // From here on a renewal may find the row gone, before this task runs again.
        let concluding = self.room.held.conclude(&self.job);
        // Last, so that the row is locked no longer than the commit takes.
        let finished = store::finish(&tx.db(), std::iter::once((&*self.job, &done))).await;
        match finished {
            Ok(finished) if !finished.is_empty() => {}
            Ok(_) => {
                tx.rollback().await;
                return Err(Fault::new(
                    Code::Conflict,
                    "this attempt has lost its job, so its effect was not committed",
                ));
            }
            Err(fault) => {
                tx.rollback().await;
                return Err(fault);
            }
        }
        let receipt = tx.commit().await?;
        concluding.committed();
        self.committed.store(true, Ordering::Release);
        let mut topics = TopicSet::from_iter(receipt.tables);
        topics.extend(queues);
        self.room.hints.publish(Hint { xid: receipt.xid, topics });
        Ok(())
    }
}

impl CompleteInTransaction for Conclusion {
    fn attempt(&self) -> Attempt {
        Attempt { job: self.job.id, number: self.job.attempt, max: self.job.attempts_max }
    }

    fn begin(&self, limit: Duration) -> BoxFuture<'_, Result<Transaction, Fault>> {
        Box::pin(async move {
            if self.is_committed() {
                return Err(Fault::internal(
                    "the job is finished: `commit` ends it, so there is nothing to commit after it",
                ));
            }
            Transaction::begin(&self.room.database, TransactionOptions::new(&self.job.name, limit)).await
        })
    }

    fn commit(&self, tx: Transaction, queues: BTreeSet<Arc<str>>) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.finish(tx, queues))
    }
}
