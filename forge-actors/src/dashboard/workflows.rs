//! `forge.workflows`, `forge.workflowTotals`, `forge.workflow`, `forge.workflowSteps`, `forge.workflowStep`,
//! `forge.workflowHistory`: the runs of the whole database, whether they have ended or not. What is done to
//! them is in `workflow_commands.rs`.

use crate::app::kind::Kind;
use crate::app::secret::names_only;
use crate::app::wire_shape::has_secrets;
use crate::app::workflow::StepKind;
use crate::app::workflow_run::journal::UNCHECKED_SHAPE;
use crate::app::{Ctx, QueryContext, Result};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::workflow::admin::{
    self, HistoryRun, WorkflowDetail, WorkflowFilter, WorkflowHistoryPart, WorkflowPage, WorkflowRow,
    WorkflowSearch, WorkflowStep, WorkflowSteps, WorkflowTotals, WorkflowVersion,
};

/// Rows of one answer at most.
const ROWS_MAX: u16 = 1_000;

/// Runs of the whole database that match the filter, newest start first: 100 unless `limit` says otherwise,
/// 1,000 at most; `before` goes on from `next` of the answer before. A filter that no index answers looks
/// through the newest runs, and the answer says how far.
#[forge_app_macros::query(name = "forge.workflows", role = "admin", refresh = "2s")]
pub async fn list_workflows(
    ctx: &QueryContext,
    filter: Option<WorkflowFilter>,
    before: Option<RunId>,
    limit: Option<u16>,
) -> Result<WorkflowPage> {
    let search = WorkflowSearch::new(filter.unwrap_or_default())?;
    let mut page = admin::list(ctx.db(), &search, before, limit.unwrap_or(100).min(ROWS_MAX)).await?;
    page.without_code = without_code(&page.rows, |workflow| ctx.workflow_versions(workflow));
    Ok(page)
}

/// How many runs there are, by status, workflow and version: exact up to some thousands of each.
#[forge_app_macros::query(name = "forge.workflowTotals", role = "admin", refresh = "2s")]
pub async fn workflow_totals(ctx: &QueryContext) -> Result<WorkflowTotals> {
    admin::totals(ctx.db()).await
}

/// One run with its journal, what it waits for, its children, its arguments and its result, whether it has
/// ended or not. Secrets are left out, and what is longer than 4 KiB of a step, which `forge.workflowStep`
/// has.
#[forge_app_macros::query(name = "forge.workflow", role = "admin", refresh = "1s")]
pub async fn show_workflow(ctx: &QueryContext, id: RunId) -> Result<WorkflowDetail> {
    let mut detail = admin::find(ctx.db(), id).await?.ok_or_else(|| admin::missing(id))?;
    let name = &detail.run.workflow;
    detail.input = ctx.shown_arguments(name, &detail.input);
    detail.output = detail.output.map(|output| ctx.shown_result(name, &output));
    detail.versions = ctx.workflow_versions(name);
    detail.journal.iter_mut().for_each(|step| hide_secrets(ctx, step));
    Ok(detail)
}

/// The rows of the journal of a run that come before a position, 1,000 at most; without one the last rows.
#[forge_app_macros::query(name = "forge.workflowSteps", role = "admin", refresh = "1s")]
pub async fn list_workflow_steps(
    ctx: &QueryContext,
    id: RunId,
    before: Option<String>,
) -> Result<WorkflowSteps> {
    let mut found = admin::list_steps(ctx.db(), id, before.as_deref()).await?;
    found.steps.iter_mut().for_each(|step| hide_secrets(ctx, step));
    Ok(found)
}

/// One row of the journal of a run, with all of its arguments and its result, but for secrets.
#[forge_app_macros::query(name = "forge.workflowStep", role = "admin")]
pub async fn show_workflow_step(ctx: &QueryContext, id: RunId, position: String) -> Result<WorkflowStep> {
    let found = admin::find_step(ctx.db(), id, &position).await?;
    let mut step = found.ok_or_else(|| {
        let text = format!("the journal of the run {id} has no step at {position}");
        Fault::new(Code::NotFound, text)
    })?;
    hide_secrets(ctx, &mut step);
    Ok(step)
}

/// The versions of runs that have not ended and are not among the `known` ones of their workflow, each once.
fn without_code(rows: &[WorkflowRow], known: impl Fn(&str) -> Vec<u32>) -> Vec<WorkflowVersion> {
    let live = rows.iter().filter(|row| !row.status.is_ended());
    let mut versions: Vec<(&str, i32)> = live.map(|row| (&*row.workflow, row.version)).collect();
    versions.sort_unstable();
    versions.dedup();
    versions.retain(|(workflow, version)| {
        !known(workflow).iter().any(|known| i64::from(*known) == i64::from(*version))
    });
    let version =
        |(workflow, version): (&str, i32)| WorkflowVersion { workflow: workflow.to_owned(), version };
    versions.into_iter().map(version).collect()
}

/// A part of the history of a run, for a test that replays it: the run, and the steps behind the position
/// `after`, or the first ones. `next` goes on, and is null behind the last step. Secrets are left out as in
/// `forge.workflow`, and so are the claims of the identity that the run has.
#[forge_app_macros::query(name = "forge.workflowHistory", role = "admin", snapshot)]
pub async fn export_workflow_history(
    ctx: &QueryContext,
    id: RunId,
    after: Option<String>,
) -> Result<WorkflowHistoryPart> {
    let found = admin::history_part(ctx.db(), id, after.as_deref()).await?;
    let mut part = found.ok_or_else(|| admin::missing(id))?;
    let HistoryRun { workflow, input, output, is_input_redacted, is_output_redacted, .. } = &mut part.run;
    *is_input_redacted = rewrite(input, |input| ctx.shown_arguments(workflow, input));
    if let Some(output) = output {
        *is_output_redacted = rewrite(output, |output| ctx.shown_result(workflow, output));
    }
    for step in &mut part.steps {
        if !holds_secrets(step.kind, step.form().unwrap_or(UNCHECKED_SHAPE)) {
            continue;
        }
        if let Some(output) = &mut step.output {
            step.is_redacted = rewrite(output, names_only);
        }
        if let Some(error) = &mut step.error {
            error.details = None;
        }
    }
    Ok(part)
}

/// Writes a text anew. True when it has changed.
fn rewrite(text: &mut String, shown: impl FnOnce(&str) -> String) -> bool {
    let shown = shown(text);
    let is_changed = *text != shown;
    *text = shown;
    is_changed
}

/// Whether the arguments or the result of a step may hold secrets. The journal does not know their types:
/// what a migration has written may hold some.
fn holds_secrets(kind: StepKind, shape: u64) -> bool {
    let executes = matches!(kind, StepKind::Call | StepKind::Closure | StepKind::Transaction);
    has_secrets(shape) || (executes && shape == UNCHECKED_SHAPE)
}

/// Leaves secrets out of what a step was called with and has returned. Where it holds some, only names are
/// left.
fn hide_secrets<K: Kind>(ctx: &Ctx<K>, step: &mut WorkflowStep) {
    let is_secret = holds_secrets(step.kind, step.shape());
    if matches!(step.kind, StepKind::Child | StepKind::Job) {
        step.input = step.input.take().map(|input| ctx.shown_arguments(&step.name, &input));
    } else if is_secret {
        step.input = step.input.take().map(|input| names_only(&input));
    }
    if is_secret {
        step.output = step.output.take().map(|output| names_only(&output));
    }
}
