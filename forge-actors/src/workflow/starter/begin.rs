//! Runs that this node begins with their start: inserted as `running` under its own lease, by the statement
//! that starts them. That saves a claim, and the time until one.
//!
//! A node begins runs itself while less than a quarter of its places is taken and no run waits to be claimed;
//! all others are claimed, by whichever node comes first. When the answer to the insert is lost, the lease
//! keeper finds the run that is held and not executed, as after a lost claim.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::workflow::activation::code_of;
use crate::workflow::insert::StartedRun;
use crate::workflow::messages::RunClaimerMessage;
use crate::workflow::rows::ClaimedRun;
use crate::workflow::shared::WorkflowShared;
use crate::workflow::signals;

/// The places of the runs that are to be begun, of one statement. Those that are not used are given back when
/// this is dropped.
pub(super) struct ReservedPlaces {
    shared: Arc<WorkflowShared>,
    pub(super) lease: i64,
    /// Of each run, whether it has a place.
    pub(super) begins: Vec<bool>,
    /// The workflows of the runs that have a place.
    workflows: Vec<String>,
}

impl ReservedPlaces {
    /// `None` when this node begins none of the runs.
    pub(super) fn of(shared: Arc<WorkflowShared>, rows: &[&StartedRun]) -> Option<Self> {
        let lease = shared.living_lease()?;
        let mut places =
            Self { shared, lease, begins: Vec::with_capacity(rows.len()), workflows: Vec::new() };
        for started in rows {
            let begins = places.reserve(started);
            places.begins.push(begins);
        }
        (!places.workflows.is_empty()).then_some(places)
    }

    fn reserve(&mut self, started: &StartedRun) -> bool {
        let (shared, run) = (&self.shared, &started.run);
        let has_code = || code_of(shared.functions.catalog(), &run.workflow, run.version).is_some();
        let begins = run.after_secs <= 0.0 && has_code() && shared.enter_unclaimed(&run.workflow);
        if begins {
            self.workflows.push(run.workflow.clone());
        }
        begins
    }

    /// Begins the runs that were inserted as `running`, and returns their ids.
    pub(super) fn begin(mut self, rows: &[&StartedRun], inserted: &[PgRow]) -> HashSet<RunId> {
        let mut ids = HashSet::new();
        if self.shared.living_lease() != Some(self.lease) {
            // They are released with the lease that was lost meanwhile.
            return ids;
        }
        for row in inserted.iter().filter(|row| row.try_get("is_begun").unwrap_or(false)) {
            let run = match begun(rows, row) {
                Ok(run) => run,
                Err(fault) => {
                    let error = error_chain(&fault);
                    tracing::error!(
                        error,
                        "a run could not be begun with its start; it is claimed again later"
                    );
                    continue;
                }
            };
            let Some(place) = self.workflows.iter().position(|workflow| *workflow == run.workflow) else {
                continue;
            };
            self.workflows.swap_remove(place);
            ids.insert(run.id);
            signals::claimed(&run.workflow, (run.now - run.due_at).to_std().unwrap_or_default());
            self.shared.held.insert(run.id, run.claim);
            self.shared.begun.put(|begun| begun.get_or_insert_default().push(run));
        }
        self.shared.claimer.notify(RunClaimerMessage::Begun);
        ids
    }
}

impl Drop for ReservedPlaces {
    fn drop(&mut self) {
        for workflow in &self.workflows {
            self.shared.free_place(workflow);
        }
    }
}

fn begun(rows: &[&StartedRun], row: &PgRow) -> Result<ClaimedRun, Fault> {
    let id: RunId = row.try_get("id")?;
    let unknown = || Fault::internal("the server has inserted a run that was not sent to it");
    let started = rows.iter().find(|started| started.run.id == id).ok_or_else(unknown)?;
    let run = &started.run;
    Ok(ClaimedRun {
        id: run.id,
        workflow: run.workflow.clone(),
        version: run.version,
        claim: 1,
        wakes: 0,
        request: None,
        ending: None,
        input: run.input.expose().clone(),
        identity: started.identity.clone(),
        trace: Some(started.trace.clone()),
        begun_at: row.try_get("begun_at")?,
        deadline_at: row.try_get("deadline_at")?,
        attributes: run.attributes.clone(),
        continues: run.continues,
        due_at: row.try_get("due_at")?,
        now: row.try_get("begun_at")?,
    })
}
