//! The settler: while its node leads [`JOB_MAINTENANCE`], it finds jobs whose followers do not know what
//! became of them, and tells them. A node tells them itself after the commit that ends a job; what is left is
//! of nodes that crashed in between, of statements that change many jobs at once, and of nodes of an older
//! version.
//!
//! It looks at a bounded part of the unfinished jobs with progress at a time, and goes on there the next
//! time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

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
    /// The last look ended here.
    after: Option<JobId>,
}

impl Settler {
    pub(super) fn spec(shared: Arc<JobShared>, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
        let make = move || Self { shared: Arc::clone(&shared), after: None };
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
        let found = store.find_unsettled(&db, self.after).await?;
        sync_progress(&db, &found.jobs).await?;
        if !found.gone.is_empty() {
            store.delete_progress(&db, &found.gone).await?;
        }
        let receipt = transaction.commit().await?;
        self.after = found.next;
        self.shared.hints.publish(Hint { xid: receipt.xid, topics: TopicSet::from_iter(receipt.tables) });
        Ok(RunReport::handled((found.jobs.len() + found.gone.len()) as u64))
    }
}
