//! The store of a run whose journal is only compared with the code: nothing is written, and whatever the code
//! would have the node do never ends, so that its function is left there.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::app::Result;
use crate::app::new_job::{DispatchOutcome, NewJob};
use crate::app::workflow_run::journal::JournalEntry;
use crate::app::workflow_run::new_run::{NewRun, StartOutcome};
use crate::app::workflow_run::store::{
    FoundRun, Recorded, RunStore, StepConnection, StepPermit, StepRow, TakenEvent, WaitedEnd,
};
use crate::db::handle::Db;
use crate::db::transaction::Transaction;
use crate::kernel::commit::Receipt;
use crate::kernel::ids::RunId;

/// Writes and finds nothing.
pub(super) struct CheckedRun;

impl RunStore for CheckedRun {
    fn record(&self, _row: StepRow) -> BoxFuture<'_, Result<Recorded>> {
        Box::pin(pending())
    }

    fn record_in<'a>(&'a self, _db: &'a Db, _row: &'a StepRow) -> BoxFuture<'a, Result<Recorded>> {
        Box::pin(pending())
    }

    fn start_child(&self, _row: StepRow, _child: NewRun) -> BoxFuture<'_, Result<(Recorded, StartOutcome)>> {
        Box::pin(pending())
    }

    fn dispatch(&self, _row: StepRow, _job: NewJob) -> BoxFuture<'_, Result<(Recorded, DispatchOutcome)>> {
        Box::pin(pending())
    }

    fn dispatch_awaited(&self, _row: StepRow, _job: NewJob) -> BoxFuture<'_, Result<Recorded>> {
        Box::pin(pending())
    }

    fn reread<'a>(&'a self, _position: &'a str) -> BoxFuture<'a, Result<Option<JournalEntry>>> {
        Box::pin(pending())
    }

    fn find_event<'a>(
        &'a self,
        _event: &'a str,
        _key: &'a str,
        _except: &'a [i64],
    ) -> BoxFuture<'a, Result<Option<TakenEvent>>> {
        Box::pin(pending())
    }

    fn find_run_end(&self, _run: RunId) -> BoxFuture<'_, Result<FoundRun>> {
        Box::pin(pending())
    }

    fn find_job_end(&self, _job: Uuid) -> BoxFuture<'_, Result<Option<WaitedEnd>>> {
        Box::pin(pending())
    }

    fn publish(&self, _published: Option<String>, _attributes: Option<String>) -> BoxFuture<'_, Result<()>> {
        Box::pin(pending())
    }

    fn permit(&self, _connection: StepConnection) -> BoxFuture<'_, StepPermit> {
        Box::pin(pending())
    }

    fn begin<'a>(&'a self, _label: &'a str, _limit: Duration) -> BoxFuture<'a, Result<Transaction>> {
        Box::pin(pending())
    }

    fn attempted(&self, _has_failed: bool) {}

    fn time_passed(&self) -> Duration {
        Duration::ZERO
    }

    fn committed(&self, _receipt: Receipt, _queues: BTreeSet<Arc<str>>) {}
}
