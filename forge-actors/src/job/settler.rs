//! The settler runs on the leader of [`JOB_MAINTENANCE`]. It copies the states of followed jobs into their
//! progress, and records ends of jobs for the jobs that wait for them, where the node that ended the job did
//! not: it crashed, it runs an older version, or one statement changed many jobs. Each run reads a bounded
//! part and keeps a cursor.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::dependencies::{self, DependencyPlace};
use super::history_expiry::JOB_MAINTENANCE;
use super::paths::SETTLER;
use super::shared::JobShared;
use super::store::sync_progress;
use crate::change::{Hint, TopicSet};
use crate::db::transaction::Transaction;
use crate::kernel::fault::Fault;
use crate::kernel::halving::write_by_halves;
use crate::kernel::ids::JobId;
use crate::kernel::time::secs;
use crate::leader::Term;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two runs.
const INTERVAL: Duration = secs(2);
/// Longest time of one statement.
const STATEMENT_TIMEOUT: Duration = secs(5);

pub(super) struct Settler {
    shared: Arc<JobShared>,
    /// Where the last look at progress ended.
    progress: Option<JobId>,
    /// Where the last look at dependencies ended.
    dependencies: Option<DependencyPlace>,
}

impl Settler {
    pub(super) fn spec(shared: Arc<JobShared>, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
        let make = move || Self { shared: Arc::clone(&shared), progress: None, dependencies: None };
        ChildSpec::elected(SETTLER.id(), Schedule::every(INTERVAL), terms, make).0
    }
}

impl Duty for Settler {
    type Term = Term;
    const KIND: &'static str = "settler";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = self.begin(&term).await?;
        let (store, db) = (&self.shared.store, transaction.db());
        let unsettled = store.find_unsettled(&db, self.progress).await?;
        sync_progress(&db, &unsettled.jobs).await?;
        if !unsettled.gone.is_empty() {
            store.delete_progress(&db, &unsettled.gone).await?;
        }
        let missed = dependencies::find_missed(&db, self.dependencies).await?;
        let woken = dependencies::wake(&db, &missed.stranded).await?;
        let receipt = transaction.commit().await?;
        self.progress = unsettled.next;
        let mut topics = TopicSet::from_iter(receipt.tables);
        topics.extend(woken);
        self.shared.hints.publish(Hint { xid: receipt.xid, topics });
        let ended: Vec<JobId> = missed.jobs.iter().chain(&missed.parents).copied().collect();
        self.record_ends(&term, &ended).await?;
        self.dependencies = missed.next;
        Ok(RunReport::handled((unsettled.jobs.len() + unsettled.gone.len() + ended.len()) as u64))
    }
}

impl Settler {
    /// Records how these jobs have ended for the jobs that wait for them. What the database refuses holds up
    /// no other job.
    async fn record_ends(&self, term: &Term, ended: &[JobId]) -> Result<(), Fault> {
        let settle = |part: Range<usize>| self.settle(term, &ended[part]);
        let batch = write_by_halves(ended.len(), settle).await?;
        dependencies::log_refused(ended, &batch.refused);
        batch.written.into_iter().for_each(|hint| self.shared.hints.publish(hint));
        Ok(())
    }

    async fn settle(&self, term: &Term, ended: &[JobId]) -> Result<Hint, Fault> {
        let transaction = self.begin(term).await?;
        let settled = dependencies::settle(&transaction.db(), ended).await?;
        let receipt = transaction.commit().await?;
        let mut topics = TopicSet::from_iter(receipt.tables);
        topics.extend(settled.queues);
        Ok(Hint { xid: receipt.xid, topics })
    }

    async fn begin(&self, term: &Term) -> Result<Transaction, Fault> {
        Ok(term.begin(&self.shared.database, JOB_MAINTENANCE.name(), STATEMENT_TIMEOUT).await?)
    }
}
