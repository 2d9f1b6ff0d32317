//! What contexts start runs and emit events with. Runs on every node, also on one that runs no workflow.
//!
//! Runs that calls without a transaction start at the same time share a statement and a commit; a lone start
//! waits for nobody.

pub mod subsystem;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::batches::{Batches, WriteRows};
use super::chain::find_newest;
use super::config::WorkflowConfig;
use super::insert::{StartedRun, insert_event, insert_rows, insert_run, request_cancel};
use super::paths::WORKFLOW_STARTER;
use crate::app::Result;
use crate::app::workflow::WORKFLOWS_TOPIC;
use crate::app::workflow_run::new_run::{NewEvent, NewRun, StartOutcome, StartRun};
use crate::change::{Hint, HintHub};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::supervise::ChildSpec;

/// Starts runs and emits events. Every node has one. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct WorkflowStarter {
    starts: Arc<Batches<Starts>>,
    database: Database,
    hints: HintHub,
    /// How long runs that have ended are kept, unless their workflow says otherwise.
    retention: Duration,
}

impl WorkflowStarter {
    /// The starter of one node, and the child that writes what gathers.
    pub fn new(database: Database, hints: HintHub) -> (Self, ChildSpec) {
        let (starts, child) = Batches::spec(&WORKFLOW_STARTER, Starts(database.clone()));
        let retention = WorkflowConfig::default().retention;
        (Self { starts, database, hints, retention }, child)
    }

    /// Has runs that a person ends kept for as long as this configuration says.
    pub fn configured(self, config: &WorkflowConfig) -> Self {
        Self { retention: config.retention, ..self }
    }
}

/// Writes runs that calls without a transaction start.
struct Starts(Database);

impl WriteRows for Starts {
    const KIND: &'static str = "workflow_starter";
    type Row = StartedRun;
    type Written = ();

    async fn write(&self, rows: &[&StartedRun]) -> Result<Vec<Option<()>>, Fault> {
        self.0.write_alone(insert_rows(rows)).await?;
        Ok(vec![Some(()); rows.len()])
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
            self.starts.submit(StartedRun { run: run.clone(), identity, trace }).await?;
            self.hints.publish(Hint::of([Arc::<str>::from(WORKFLOWS_TOPIC)]));
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
