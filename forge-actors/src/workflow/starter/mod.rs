//! The starter inserts runs and events for the contexts of handlers. Every node has one, also a node that
//! executes no workflows.
//!
//! Runs that calls without a transaction start at the same time share a statement and a commit; a lone start
//! waits for nobody. On a node that executes workflows many of them are begun at once (`begin.rs`).

mod begin;
pub mod subsystem;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::future::BoxFuture;

use super::batches::{Batches, WriteRows};
use super::chain::find_newest;
use super::config::WorkflowConfig;
use super::insert::{StartedRun, insert_event, insert_rows, insert_run, request_cancel};
use super::paths::WORKFLOW_STARTER;
use super::shared::WorkflowShared;
use super::write_limiter::WriteLimiter;
use crate::app::Result;
use crate::app::workflow::WORKFLOWS_TOPIC;
use crate::app::workflow_run::new_run::{NewEvent, NewRun, StartOutcome, StartRun};
use crate::change::{Hint, HintHub};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::supervise::ChildSpec;

use begin::ReservedPlaces;

/// Starts runs and emits events. Every node has one. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct WorkflowStarter {
    starts: Arc<Batches<Starts>>,
    executor: Arc<OnceLock<Weak<WorkflowShared>>>,
    limiter: Arc<WriteLimiter>,
    database: Database,
    hints: HintHub,
    /// How long runs that have ended are kept, unless their workflow says otherwise.
    retention: Duration,
}

impl WorkflowStarter {
    /// The starter of one node, and the child that writes what gathers.
    pub fn new(database: Database, hints: HintHub) -> (Self, ChildSpec) {
        let (limiter, executor) = (WriteLimiter::new(), Arc::<OnceLock<_>>::default());
        let writer = Starts { database: database.clone(), executor: Arc::clone(&executor) };
        let (starts, child) = Batches::spec(&WORKFLOW_STARTER, writer, &limiter);
        let retention = WorkflowConfig::default().retention;
        (Self { starts, executor, limiter, database, hints, retention }, child)
    }

    /// This node executes workflows: runs may be begun with their start.
    pub(super) fn begin_on(&self, executor: &Arc<WorkflowShared>) {
        // A node has one workflow subsystem.
        let _again = self.executor.set(Arc::downgrade(executor));
    }

    /// The limiter of this node's writes about runs.
    pub(super) fn limiter(&self) -> &Arc<WriteLimiter> {
        &self.limiter
    }

    /// Has runs that a person ends kept for as long as this configuration says.
    pub fn configured(self, config: &WorkflowConfig) -> Self {
        Self { retention: config.retention, ..self }
    }
}

/// Writes runs that calls without a transaction start.
struct Starts {
    database: Database,
    /// Set once, on a node that executes workflows.
    executor: Arc<OnceLock<Weak<WorkflowShared>>>,
}

impl WriteRows for Starts {
    const KIND: &'static str = "workflow_starter";
    type Row = StartedRun;
    /// Whether this node has begun the run.
    type Written = bool;

    async fn write(&self, rows: &[&StartedRun]) -> Result<Vec<Option<bool>>, Fault> {
        let executor = self.executor.get().and_then(Weak::upgrade);
        let places = executor.and_then(|executor| ReservedPlaces::of(executor, rows));
        let begins = places.as_ref().map(|places| (places.lease, places.begins.as_slice()));
        let inserted = self.database.write_alone(insert_rows(rows, begins)).await?;
        let Some(places) = places else { return Ok(vec![Some(false); rows.len()]) };
        let begun = places.begin(rows, &inserted);
        Ok(rows.iter().map(|started| Some(begun.contains(&started.run.id))).collect())
    }

    fn bytes(started: &StartedRun) -> usize {
        started.run.input.expose().len()
    }

    /// The callers decide whether they try again.
    fn gives_up(&self) -> bool {
        true
    }
}

impl StartRun for WorkflowStarter {
    fn insert<'a>(
        &'a self,
        db: &'a Db,
        run: &'a NewRun,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<StartOutcome>> {
        Box::pin(async move { insert_run(db, &StartedRun { run: run.clone(), identity, trace }).await })
    }

    fn insert_alone<'a>(
        &'a self,
        run: &'a NewRun,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<Option<StartOutcome>>> {
        Box::pin(async move {
            if run.key.is_some() || run.followed || !self.database.state().borrow().is_up() {
                return Ok(None);
            }
            let is_begun = self.starts.submit(StartedRun { run: run.clone(), identity, trace }).await?;
            if is_begun != Some(true) {
                self.hints.publish(Hint::of([Arc::<str>::from(WORKFLOWS_TOPIC)]));
            }
            Ok(Some(StartOutcome::New(run.id)))
        })
    }

    fn emit<'a>(&'a self, db: &'a Db, event: &'a NewEvent) -> BoxFuture<'a, Result<bool>> {
        Box::pin(insert_event(db, event))
    }

    fn cancel<'a>(&'a self, db: &'a Db, run: RunId) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let newest = find_newest(db, run).await?.unwrap_or(run);
            request_cancel(db, newest).await
        })
    }

    fn retention(&self) -> Duration {
        self.retention
    }
}
