//! Priority ageing: raises the priority of jobs that have been due for long, so that none starves behind jobs
//! of higher priority. Each `[jobs] age_after` adds one level (25), up to 100. The leader of `jobs` runs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::paths::AGEING;
use super::shared::JobShared;
use crate::change::Hint;
use crate::kernel::fault::Fault;
use crate::kernel::time::secs;
use crate::leader::Term;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two runs.
const INTERVAL: Duration = secs(30);
/// Jobs of one queue and priority that a run raises.
const RAISED_MAX: i32 = 200;
/// Longest time of the statement.
const STATEMENT_TIMEOUT: Duration = secs(5);

pub(super) struct Ageing {
    shared: Arc<JobShared>,
}

impl Ageing {
    pub(super) fn spec(shared: Arc<JobShared>, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
        let make = move || Self { shared: Arc::clone(&shared) };
        ChildSpec::elected(AGEING.id(), Schedule::every(INTERVAL), terms, make).0
    }
}

impl Duty for Ageing {
    type Term = Term;
    const KIND: &'static str = "ageing";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let after = self.shared.config.age_after;
        if after.is_zero() {
            return Ok(RunReport::NOTHING);
        }
        let tx = term.begin(&self.shared.database, Self::KIND, STATEMENT_TIMEOUT).await?;
        let queues = self.shared.store.age(&tx.db(), after, RAISED_MAX).await?;
        tx.commit().await?;
        let report = RunReport::handled(queues.len() as u64);
        // A claim skips the rows that are locked here, and takes their queue for empty.
        self.shared.hints.publish(Hint::of(queues));
        Ok(report)
    }
}
