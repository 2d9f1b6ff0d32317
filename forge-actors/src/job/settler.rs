//! The settler: while its node leads [`JOB_MAINTENANCE`], it copies the state of followed jobs into their
//! progress, and records ends of jobs for the jobs that wait for them, where that was missed. A node does
//! both itself after the commit that ends a job; missed are those of nodes that crashed in between, of
//! statements that change many jobs at once, and of nodes of an older version.
//!
//! It looks at a bounded part of the unfinished jobs with progress at a time, and of the dependencies that
//! are open, and goes on there the next time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::dependencies::{self, DependencyPlace};
use super::history_expiry::JOB_MAINTENANCE;
use super::paths::SETTLER;
use super::shared::JobShared;
use super::store::sync_progress;
use crate::change::{Hint, TopicSet};
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::secs;
use crate::leader::Term;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two looks.
const INTERVAL: Duration = secs(2);
/// Longest time of one look.
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
        let transaction =
            term.begin(&self.shared.database, JOB_MAINTENANCE.name(), STATEMENT_TIMEOUT).await?;
        let (store, db) = (&self.shared.store, transaction.db());
        let unsettled = store.find_unsettled(&db, self.progress).await?;
        sync_progress(&db, &unsettled.jobs).await?;
        if !unsettled.gone.is_empty() {
            store.delete_progress(&db, &unsettled.gone).await?;
        }
        let missed = dependencies::find_missed(&db, self.dependencies).await?;
        let ended: Vec<JobId> = missed.jobs.iter().chain(&missed.parents).copied().collect();
        let settled = dependencies::settle(&db, &ended).await?;
        let receipt = transaction.commit().await?;
        self.progress = unsettled.next;
        self.dependencies = missed.next;
        let mut topics = TopicSet::from_iter(receipt.tables);
        topics.extend(settled.queues);
        self.shared.hints.publish(Hint { xid: receipt.xid, topics });
        Ok(RunReport::handled((unsettled.jobs.len() + unsettled.gone.len() + ended.len()) as u64))
    }
}
