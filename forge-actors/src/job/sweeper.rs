//! The sweeper: deletes old history, while this node leads [`JOB_MAINTENANCE`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::paths::SWEEPER;
use super::shared::JobShared;
use super::store::DELETE_MAX;
use crate::kernel::fault::Fault;
use crate::kernel::time::{minutes, secs};
use crate::leader::{Leadership, Term};
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Its leader deletes old history. Nodes with the role `worker` stand for it.
pub const JOB_MAINTENANCE: Leadership = Leadership::new("jobs");

/// Between two deletions.
const INTERVAL: Duration = minutes(10);
/// Between two parts of a long deletion.
const PAUSE: Duration = secs(1);
/// Of one statement.
const STATEMENT_TIMEOUT: Duration = secs(10);

pub(super) struct Sweeper {
    shared: Arc<JobShared>,
}

impl Sweeper {
    pub(super) fn spec(shared: Arc<JobShared>, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
        let make = move || Self { shared: Arc::clone(&shared) };
        ChildSpec::elected(SWEEPER.id(), Schedule::every(INTERVAL), terms, make).0
    }
}

impl Duty for Sweeper {
    type Term = Term;
    const KIND: &'static str = "sweeper";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = term.begin(&self.shared.database, "sweeper", STATEMENT_TIMEOUT).await?;
        let retention = self.shared.config.retention;
        let deleted = self.shared.store.delete_history(&transaction.db(), retention).await?;
        transaction.commit().await?;
        Ok(RunReport::batch(deleted, DELETE_MAX, PAUSE))
    }
}
