//! What an administrator does to one run: `forge.signalWorkflow`, `forge.cancelWorkflow`,
//! `forge.terminateWorkflow`, `forge.pauseWorkflow`, `forge.resumeWorkflow`, `forge.retryWorkflow`,
//! `forge.skipCompensation`, `forge.forkWorkflow`. Each is audited in its own transaction.

use crate::app::workflow::emit::InsertNewEvent;
use crate::app::workflow::event::check_payload_of;
use crate::app::workflow::{EVENTS_TOPIC, WORKFLOWS_TOPIC};
use crate::app::workflow_run::limits::EVENT_BYTES_MAX;
use crate::app::workflow_run::new_run::NewEvent;
use crate::app::{MutationContext, Result, Secret};
use crate::dashboard::audit::{AuditId, CompleteAudit, RecordAudit};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::workflow::admin::{
    self, ChangedRuns, RunChange, WorkflowAction, WorkflowRequest, WorkflowRow, WorkflowStatus,
};

/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 1_000;
/// Bytes of the name of an event or a signal.
const NAME_BYTES_MAX: usize = 200;

/// What was done to a run.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct WorkflowChange {
    /// The run, as it is now; of a fork the new one.
    pub run: WorkflowRow,
    /// What has happened, and what happens next.
    pub message: String,
}

/// Sends a signal to one run, which receives it with `wait_for_signal`, now or later. `name` is the name of
/// the event, `payload` its JSON. A signal to a run that has ended is refused, and so is a payload that does
/// not fit the event that the binary of the answering node has under this name.
#[forge_app_macros::mutation(name = "forge.signalWorkflow", role = "admin", input_max = "1MiB")]
pub async fn signal_workflow(
    ctx: &MutationContext,
    id: RunId,
    name: String,
    payload: String,
) -> Result<WorkflowChange> {
    check_event_name(&name, "a signal")?;
    check_payload(&name, &payload, None, "a signal")?;
    let audit = record(ctx, "signalWorkflow", format!("{id} {name}")).await?;
    let run = ChangedRuns::expect(ctx.db(), id).await?;
    if run.status.is_ended() {
        let label = run.status.as_str();
        return Err(Fault::new(
            Code::Conflict,
            format!("the run is {label}: it receives no signals any more"),
        )
        .with_details(serde_json::json!({ "status": run.status })));
    }
    let message = format!("the signal `{name}` is kept until the run waits for it");
    let event =
        NewEvent { name, key: id.to_string(), run: Some(id), once: None, payload: Secret::new(payload) };
    ctx.call(InsertNewEvent { event }).await?;
    finish(ctx, audit, run, message).await
}

/// Asks a run to take back what it has completed, and to end; its error says then by whom and why. Its
/// children that end with it are asked first, and it is compensated when they have ended. Only code that fits
/// the journal of a run knows what to take back: one that has diverged is tried once more, and stays parked
/// with this request where its code still does not fit.
#[forge_app_macros::mutation(name = "forge.cancelWorkflow", role = "admin")]
pub async fn cancel_workflow(
    ctx: &MutationContext,
    id: RunId,
    reason: Option<String>,
) -> Result<WorkflowChange> {
    act(ctx, WorkflowAction::Cancel, id, reason).await
}

/// Ends a run as it is: nothing is compensated, what its node still writes for it is refused, and its
/// children that end with it are cancelled.
#[forge_app_macros::mutation(name = "forge.terminateWorkflow", role = "admin")]
pub async fn terminate_workflow(
    ctx: &MutationContext,
    id: RunId,
    reason: Option<String>,
) -> Result<WorkflowChange> {
    act(ctx, WorkflowAction::Terminate, id, reason).await
}

/// Lets a run go on no further until it is resumed: at once when it waits, otherwise when the steps that are
/// under way have ended. A run that is being compensated is not paused.
#[forge_app_macros::mutation(name = "forge.pauseWorkflow", role = "admin")]
pub async fn pause_workflow(ctx: &MutationContext, id: RunId) -> Result<WorkflowChange> {
    act(ctx, WorkflowAction::Pause, id, None).await
}

/// Lets a paused run go on.
#[forge_app_macros::mutation(name = "forge.resumeWorkflow", role = "admin")]
pub async fn resume_workflow(ctx: &MutationContext, id: RunId) -> Result<WorkflowChange> {
    act(ctx, WorkflowAction::Resume, id, None).await
}

/// Tries a run again that has diverged, or whose compensation has failed: that gets its attempts back. A run
/// that has failed, or was cancelled or terminated, is brought back: `fromStep`, a position or a name, and
/// the steps that ended after it are executed again; without it the step whose failure has ended the run. It
/// is refused when a step that stays was compensated, or another run has the id of the application.
#[forge_app_macros::mutation(name = "forge.retryWorkflow", role = "admin", timeout = "60s")]
pub async fn retry_workflow(
    ctx: &MutationContext,
    id: RunId,
    from_step: Option<String>,
) -> Result<WorkflowChange> {
    let Some(from) = from_step else { return act(ctx, WorkflowAction::Retry, id, None).await };
    let audit = record(ctx, "retryWorkflow", format!("{id} from {from}")).await?;
    if !admin::retry_from(ctx.db(), id, Some(&from)).await? {
        let run = ChangedRuns::expect(ctx.db(), id).await?;
        let text = match WorkflowAction::Retry.applies_to(run.status) {
            true => format!("the run is {}: it is tried again where it stands", run.status.as_str()),
            false => WorkflowAction::Retry.refusal(run.status),
        };
        let details = serde_json::json!({ "status": run.status });
        return Err(Fault::new(Code::Conflict, text).with_details(details));
    }
    ctx.wake_workers(WORKFLOWS_TOPIC);
    let run = ChangedRuns::expect(ctx.db(), id).await?;
    finish(ctx, audit, run, format!("the run is ready, and executes its steps from `{from}` on again")).await
}

/// Counts the compensation of a run that has failed as done, for a reason that the audit keeps. The run goes
/// on with the next one.
#[forge_app_macros::mutation(name = "forge.skipCompensation", role = "admin")]
pub async fn skip_failed_compensation(
    ctx: &MutationContext,
    id: RunId,
    reason: String,
) -> Result<WorkflowChange> {
    let reason = checked_reason(&reason)?;
    let audit = record(ctx, "skipCompensation", format!("{id}: {reason}")).await?;
    let who = &ctx.auth().identity()?.subject;
    let step = admin::skip_compensation(ctx.db(), id, who, &reason).await?;
    ctx.wake_workers(WORKFLOWS_TOPIC);
    let run = ChangedRuns::expect(ctx.db(), id).await?;
    finish(ctx, audit, run, format!("the compensation of `{step}` is skipped; the run goes on")).await
}

/// Starts a new run of the same workflow with a copy of the journal of another one, of `version` where it is
/// given. `fromStep`, a position or a name, and the steps that ended after it are executed by the new run;
/// without it, it goes on behind the last step that has succeeded. The new run has no id of the application,
/// and the attribute `forkedFrom`. Where it does not succeed it takes back the steps that were copied too, so
/// a run that has not ended is better terminated, which takes nothing back, than left to go on beside it.
#[forge_app_macros::mutation(name = "forge.forkWorkflow", role = "admin", timeout = "60s")]
pub async fn fork_workflow(
    ctx: &MutationContext,
    id: RunId,
    from_step: Option<String>,
    version: Option<u32>,
) -> Result<WorkflowChange> {
    if let Some(version) = version {
        let run = ChangedRuns::expect(ctx.db(), id).await?;
        let known = ctx.workflow_versions(&run.workflow);
        if !known.contains(&version) {
            let known: Vec<String> = known.iter().map(u32::to_string).collect();
            let (name, known) = (&run.workflow, known.join(", "));
            let text =
                format!("the binary of this node has no version {version} of `{name}`; it has: {known}");
            return Err(Fault::new(Code::BadRequest, text));
        }
    }
    let from = from_step.as_deref();
    let target = from.map_or_else(|| id.to_string(), |from| format!("{id} from {from}"));
    let audit = record(ctx, "forkWorkflow", target).await?;
    let forked = admin::fork(ctx.db(), id, from, version).await?;
    ctx.wake_workers(WORKFLOWS_TOPIC);
    let run = ChangedRuns::expect(ctx.db(), forked.id).await?;
    let message = match forked.source_is_live {
        false => format!("the new run goes on behind {} steps of {id}", forked.steps),
        true => format!(
            "the new run goes on behind {} steps of {id}, which has not ended: each of the two takes them \
             back when it does not succeed",
            forked.steps
        ),
    };
    finish(ctx, audit, run, message).await
}

/// Does something to one run, with a row of the audit.
async fn act(
    ctx: &MutationContext,
    action: WorkflowAction,
    id: RunId,
    reason: Option<String>,
) -> Result<WorkflowChange> {
    let reason = reason.as_deref().map(checked_reason).transpose()?;
    let target = format!("{id}{}", because(reason.as_deref())?);
    let audit = record(ctx, &format!("{}Workflow", action.as_str()), target).await?;
    let who = &ctx.auth().identity()?.subject;
    let change = RunChange { action, who, reason: reason.as_deref(), retention: ctx.run_retention() };
    let changed = admin::apply(ctx.db(), change, &[id]).await?;
    let run = changed.of_one(ctx.db(), action, id).await?;
    wake(ctx, &changed);
    let message = outcome(action, &run).to_owned();
    finish(ctx, audit, run, message).await
}

/// Wakes those who go on with the runs, after the commit.
pub(super) fn wake(ctx: &MutationContext, changed: &ChangedRuns) {
    if changed.wakes_claimers {
        ctx.wake_workers(WORKFLOWS_TOPIC);
    }
    if changed.wakes_routers {
        ctx.wake_workers(EVENTS_TOPIC);
    }
}

/// What was done to a run that is like this now.
fn outcome(action: WorkflowAction, run: &WorkflowRow) -> &'static str {
    match (action, run.status) {
        (WorkflowAction::Cancel, WorkflowStatus::Running) => {
            "the node that executes the run stops it, and compensates what it has completed"
        }
        // Only a run that had diverged is due with an error, before it is compensated.
        (WorkflowAction::Cancel, WorkflowStatus::Ready) if run.error.is_some() => {
            "the run had diverged: code that fits its journal compensates what it has completed; where none \
             does, it is parked again, and only a termination ends it"
        }
        (WorkflowAction::Cancel, _) => "the next node that takes the run compensates what it has completed",
        (WorkflowAction::Terminate, _) => "the run has ended as it was; nothing is compensated",
        (WorkflowAction::Pause, _) if run.request == Some(WorkflowRequest::Pause) => {
            "the node that executes the run pauses it when the steps that are under way have ended"
        }
        (WorkflowAction::Pause, _) => "the run is paused",
        (WorkflowAction::Resume, WorkflowStatus::Running) => "the run is not paused any more",
        (WorkflowAction::Resume, _) => "the run is ready",
        (WorkflowAction::Retry, WorkflowStatus::Compensating) => {
            "the run is ready; its compensation has its attempts again"
        }
        (WorkflowAction::Retry, _) => "the run is ready",
    }
}

/// The name of an event or a signal, which is none of Forge's own.
pub(super) fn check_event_name(name: &str, of: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') || name.starts_with("forge.") {
        let text =
            format!("the name of {of} has 1 to {NAME_BYTES_MAX} bytes, and does not begin with `forge.`");
        return Err(Fault::new(Code::BadRequest, text));
    }
    Ok(())
}

/// The payload of the event or signal `name`. `key` is the text of an event's key.
pub(super) fn check_payload(name: &str, payload: &str, key: Option<&str>, of: &str) -> Result<()> {
    let refused = |text: String| Fault::new(Code::BadRequest, text);
    if payload.len() > EVENT_BYTES_MAX {
        let text = format!("the payload of {of} has at most {EVENT_BYTES_MAX} bytes");
        return Err(Fault::new(Code::PayloadTooLarge, text));
    }
    serde_json::from_str::<serde::de::IgnoredAny>(payload)
        .map_err(|error| refused(format!("the payload is no JSON: {error}")))?;
    check_payload_of(name, payload, key)
}

/// A reason as the audit has it behind what the command is about.
pub(super) fn because(reason: Option<&str>) -> Result<String> {
    let reason = reason.map(checked_reason).transpose()?;
    Ok(reason.map(|reason| format!(": {reason}")).unwrap_or_default())
}

/// A reason as it is kept.
pub(super) fn checked_reason(reason: &str) -> Result<String> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX || reason.contains('\0') {
        return Err(Fault::new(Code::BadRequest, format!("a reason has 1 to {REASON_BYTES_MAX} bytes")));
    }
    Ok(reason.to_owned())
}

/// Writes the audit in the transaction of what it is about: either both happened or neither.
pub(super) async fn record(ctx: &MutationContext, action: &str, target: String) -> Result<AuditId> {
    let id = AuditId::new();
    ctx.call(RecordAudit { id, action: action.to_owned(), node: None, target }).await?;
    Ok(id)
}

async fn finish(
    ctx: &MutationContext,
    audit: AuditId,
    run: WorkflowRow,
    message: String,
) -> Result<WorkflowChange> {
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    Ok(WorkflowChange { run, message })
}
