//! Changes runs: one, or a batch of them. A run that the action does not apply to stays as it is.

use std::time::Duration;

use serde_json::json;

use super::action::WorkflowAction;
use super::list::find_row;
use super::missing::missing;
use super::rewind;
use super::rows::WorkflowRow;
use super::status::WorkflowStatus;
use crate::app::job_failure::JobFailure;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::workflow::chain::find_newest;

/// The code of the failure of a run that a person has terminated.
pub(in crate::workflow) const TERMINATED: &str = "TERMINATED";

/// What is done to runs, by whom and why.
#[derive(Debug, Clone, Copy)]
pub struct RunChange<'a> {
    /// What is done.
    pub action: WorkflowAction,
    /// Who asked, as the error of the run says it: the subject of a token, or `its starter`.
    pub who: &'a str,
    /// Why, in that person's words; `None` for a cancellation by a client.
    pub reason: Option<&'a str>,
    /// How long runs are kept that a termination ends, unless their workflow says otherwise.
    pub retention: Duration,
}

impl RunChange<'_> {
    /// By whom, and why where that is known, as the failure of a run says it: `by ana: a mistake`.
    fn origin(&self) -> String {
        let because = self.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("by {}{because}", self.who)
    }
}

/// The runs that an action has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedRuns {
    /// Their ids.
    pub ids: Vec<RunId>,
    /// Runs are due now: the nodes that run workflows are to be woken, once the transaction is committed.
    pub wakes_claimers: bool,
    /// Events were written: the routers are to be woken then.
    pub wakes_routers: bool,
}

/// Does something to runs. Those that are in no status in which the action changes something are left out of
/// the answer, as are those of which a conflict is the reason.
pub async fn apply(db: &Db, change: RunChange<'_>, ids: &[RunId]) -> Result<ChangedRuns, Fault> {
    let statement = match change.action {
        WorkflowAction::Terminate => return terminate(db, change, ids).await,
        WorkflowAction::Cancel => return cancel(db, change, ids).await,
        WorkflowAction::Pause => include_str!("../sql/pause_runs.sql"),
        WorkflowAction::Resume => include_str!("../sql/resume_runs.sql"),
        WorkflowAction::Retry => include_str!("../sql/retry_runs.sql"),
    };
    let mut changed: Vec<RunId> = sqlx::query_scalar(statement).bind(ids).fetch_all(db).await?;
    if change.action == WorkflowAction::Retry {
        for id in ids.iter().filter(|id| !changed.contains(id)).copied().collect::<Vec<_>>() {
            match rewind::retry_from(db, id, None).await {
                Ok(true) => changed.push(id),
                Ok(false) => {}
                Err(fault) if fault.code() == Code::Conflict && ids.len() > 1 => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    let wakes_claimers = change.action != WorkflowAction::Pause && !changed.is_empty();
    Ok(ChangedRuns { ids: changed, wakes_claimers, wakes_routers: false })
}

async fn cancel(db: &Db, change: RunChange<'_>, ids: &[RunId]) -> Result<ChangedRuns, Fault> {
    let request = sqlx::query_scalar(include_str!("../sql/request_cancel.sql"));
    let asked: Vec<RunId> = request.bind(ids).bind(change.origin()).fetch_all(db).await?;
    Ok(ChangedRuns { wakes_claimers: !asked.is_empty(), ids: asked, wakes_routers: false })
}

async fn terminate(db: &Db, change: RunChange<'_>, ids: &[RunId]) -> Result<ChangedRuns, Fault> {
    let failure = JobFailure {
        code: TERMINATED.to_owned(),
        message: format!("terminated {}", change.origin()),
        details: None,
        is_own: false,
    };
    let ended: Vec<RunId> = sqlx::query_scalar(include_str!("../sql/terminate_runs.sql"))
        .bind(ids)
        .bind(serde_json::to_string(&failure).map_err(Fault::internal)?)
        .bind(change.retention.as_secs_f64())
        .fetch_all(db)
        .await?;
    let mut has_children = false;
    // The second time for a child that has gone on as a new run while the first statement waited for it.
    for _ in 0..2 {
        let cancel = sqlx::query(include_str!("../sql/cancel_children.sql")).bind(&ended);
        has_children |= !cancel.fetch_all(db).await?.is_empty();
    }
    let wakes_routers = !ended.is_empty();
    Ok(ChangedRuns { ids: ended, wakes_claimers: has_children, wakes_routers })
}

/// Counts the compensation of a run that has failed as done. Returns the name of its step.
///
/// # Errors
/// `NOT_FOUND`, and `CONFLICT` when no compensation of the run has failed.
pub async fn skip_compensation(db: &Db, run: RunId, who: &str, reason: &str) -> Result<String, Fault> {
    let note = json!({ "skippedBy": who, "reason": reason });
    let skip = sqlx::query_scalar(include_str!("../sql/skip_compensation.sql"));
    let skipped: Option<Option<String>> = skip.bind(run).bind(note.to_string()).fetch_optional(db).await?;
    match skipped {
        Some(name) => Ok(name.unwrap_or_default()),
        None => {
            let found = ChangedRuns::expect(db, run).await?;
            let text = format!("the run is {}: no compensation of it has failed", found.status.as_str());
            Err(conflict(text, found.status))
        }
    }
}

impl ChangedRuns {
    /// The run, after or instead of a change.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn expect(db: &Db, run: RunId) -> Result<WorkflowRow, Fault> {
        find_row(db, run).await?.ok_or_else(|| missing(run))
    }

    /// What has become of one run; the reason of a refusal when it was not changed.
    ///
    /// # Errors
    /// `NOT_FOUND`, and `CONFLICT` with the status of a run that the action does not apply to.
    pub async fn of_one(&self, db: &Db, action: WorkflowAction, run: RunId) -> Result<WorkflowRow, Fault> {
        let found = Self::expect(db, run).await?;
        if self.ids.contains(&run) {
            return Ok(found);
        }
        let refusal = action.refusal(found.status);
        let goes_on = match find_newest(db, run).await? {
            Some(newest) => format!("; it goes on as {newest}"),
            None => String::new(),
        };
        Err(conflict(format!("{refusal}{goes_on}"), found.status))
    }
}

fn conflict(text: String, status: WorkflowStatus) -> Fault {
    Fault::new(Code::Conflict, text).with_details(json!({ "status": status }))
}
