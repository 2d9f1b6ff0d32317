//! `forge.startableWorkflows`, `forge.startWorkflow`, `forge.emitEvent`: what an administrator begins in
//! place of the application. Runs and events are bounded as those of `ctx.start(..)` and `ctx.emit(..)` are.

use serde_json::{Map, Value};

use crate::app::startable::StartableWorkflow;
use crate::app::workflow::emit::{InsertNewEvent, check_once};
use crate::app::workflow::event::EVENT_KEY_BYTES_MAX;
use crate::app::workflow::start::KEY_BYTES_MAX;
use crate::app::workflow::{IdConflict, StartOutcome};
use crate::app::workflow_run::limits::{PUBLISHED_BYTES_MAX, WAIT_MAX, attributes_too_large};
use crate::app::workflow_run::new_run::NewEvent;
use crate::app::{MutationContext, QueryContext, Result, Secret};
use crate::dashboard::audit::CompleteAudit;
use crate::dashboard::workflow_commands::{because, check_event_name, check_payload, record};
use crate::job::admin::BoundedCount;
use crate::kernel::compact_json::compact_json;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::integer::Int53;
use crate::kernel::time::format_duration;
use crate::workflow::admin::{self, ChangedRuns, WorkflowAttribute, WorkflowRow};

/// What a start has done.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct StartedWorkflow {
    /// The run, as it is now.
    pub run: WorkflowRow,
    /// False when the id named a run already, which is this one.
    pub is_new: bool,
    /// What has happened, and what happens next.
    pub message: String,
}

/// What an emission has done.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedEvent {
    /// False when an event of this name and key exists with the same idempotency key: nothing was emitted.
    pub is_new: bool,
    /// How many runs wait for an event of this name and key now.
    pub waiting: BoundedCount,
    /// What has happened, and what happens next.
    pub message: String,
}

/// The workflows that the binary of the answering node has code for, with their versions and arguments.
#[forge_app_macros::query(name = "forge.startableWorkflows", role = "admin")]
pub async fn list_startable_workflows(ctx: &QueryContext) -> Result<Vec<StartableWorkflow>> {
    Ok(ctx.startable_workflows())
}

/// Starts a run of a workflow, which carries the identity of the administrator. `args` is the JSON object of
/// its arguments, `version` the newest one that is not deprecated unless it is given, `key` the JSON of the
/// id that an application would give with `.id(..)`, and `onConflict` says what happens when that names a
/// run. The run begins after `afterMs`. What the binary of the answering node has no code for, or does not
/// fit the workflow, is refused with `BAD_REQUEST`.
#[forge_app_macros::mutation(name = "forge.startWorkflow", role = "admin", input_max = "64MiB")]
#[allow(clippy::too_many_arguments, reason = "callers name each of them")]
pub async fn start_workflow(
    ctx: &MutationContext,
    workflow: String,
    args: String,
    version: Option<u32>,
    key: Option<String>,
    on_conflict: Option<IdConflict>,
    after_ms: Option<Int53>,
    attributes: Option<Vec<WorkflowAttribute>>,
    reason: Option<String>,
) -> Result<StartedWorkflow> {
    let because = because(reason.as_deref())?;
    let mut run = ctx.run_by_name(&workflow, version, &args)?;
    run.key = key.map(|key| checked_key(&key, "key of a run", KEY_BYTES_MAX)).transpose()?;
    run.on_conflict = checked_rule(on_conflict, run.key.is_some())?;
    let delay = after_ms.map(delay_of).transpose()?.unwrap_or_default().min(WAIT_MAX);
    run.after_secs = delay.as_secs_f64();
    run.attributes = attributes.map(|attributes| attributes_of(&attributes)).transpose()?.flatten();
    let outcome = ctx.start_run(&run).await?;
    let key = run.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    let target = format!("{} v{} {}{key}{because}", run.workflow, run.version, outcome.run());
    let audit = record(ctx, "startWorkflow", target).await?;
    let row = ChangedRuns::expect(ctx.db(), outcome.run()).await?;
    let message = match outcome {
        StartOutcome::Existing(_) => {
            format!("the key names this run already, which is {}: nothing was started", row.status.as_str())
        }
        StartOutcome::New(_) if delay.is_zero() => "the run is started".to_owned(),
        StartOutcome::New(_) => format!("the run is started, and begins in {}", format_duration(delay)),
    };
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    Ok(StartedWorkflow { run: row, is_new: matches!(outcome, StartOutcome::New(_)), message })
}

/// Emits an event, for the runs that wait for its key now or later. `key` is the JSON of the value that the
/// application's event has in the field of its key (`null` for an event without one), `payload` that of the
/// whole event. Where the binary of the answering node has the type of the event, a payload that does not fit
/// it, or has another key, is refused with `BAD_REQUEST`. Of all events of this name and key with the same
/// idempotency key `once`, the first one counts.
#[forge_app_macros::mutation(name = "forge.emitEvent", role = "admin", input_max = "1MiB")]
pub async fn emit_event(
    ctx: &MutationContext,
    event: String,
    key: String,
    payload: String,
    once: Option<String>,
    reason: Option<String>,
) -> Result<EmittedEvent> {
    let because = because(reason.as_deref())?;
    check_event_name(&event, "an event")?;
    let key = checked_key(&key, "key of an event", EVENT_KEY_BYTES_MAX)?;
    check_payload(&event, &payload, Some(&key), "an event")?;
    once.as_deref().map(check_once).transpose()?;
    let audit = record(ctx, "emitEvent", format!("{event} {key}{because}")).await?;
    let waiting = admin::count_waiting(ctx.db(), &event, &key).await?;
    let payload = Secret::new(payload);
    let is_new = ctx.call(InsertNewEvent { event: NewEvent { name: event, key, run: None, once, payload } });
    let is_new = is_new.await?;
    ctx.call(CompleteAudit { id: audit, error: None }).await?;
    Ok(EmittedEvent { is_new, waiting, message: emission(is_new, waiting) })
}

/// What an emission has done, in a sentence.
fn emission(is_new: bool, BoundedCount { count, is_more }: BoundedCount) -> String {
    let more = if is_more { "more than " } else { "" };
    match (is_new, count) {
        (false, _) => "an event with this idempotency key exists already: nothing was emitted".to_owned(),
        (true, 0) => {
            "the event is emitted; no run waits for it now, and it is kept for those that will".to_owned()
        }
        (true, 1) => "the event is emitted; 1 run waits for it now, and receives it".to_owned(),
        (true, count) => format!("the event is emitted; {more}{count} runs wait for it now, and receive it"),
    }
}

/// A key as an application writes it.
fn checked_key(key: &str, what: &str, bytes_max: usize) -> Result<String> {
    let compact = compact_json(key).map_err(|error| {
        let text = format!("the {what} is no JSON: {error}; a text has quotes: \"user-7\"");
        Fault::new(Code::BadRequest, text)
    })?;
    if compact.len() > bytes_max {
        let text = format!("the {what} has at most {bytes_max} bytes as JSON");
        return Err(Fault::new(Code::PayloadTooLarge, text));
    }
    Ok(compact)
}

/// What happens when the id names a run; that needs an id.
fn checked_rule(rule: Option<IdConflict>, has_key: bool) -> Result<IdConflict> {
    if rule.is_some() && !has_key {
        return Err(Fault::new(
            Code::BadRequest,
            "`onConflict` says what happens when the `key` names a run, and there is no `key`",
        ));
    }
    Ok(rule.unwrap_or_default())
}

fn delay_of(after_ms: Int53) -> Result<std::time::Duration> {
    let ms = u64::try_from(after_ms.get());
    let ms = ms.map_err(|_| Fault::new(Code::BadRequest, "`afterMs` is no time that is still to come"))?;
    Ok(std::time::Duration::from_millis(ms))
}

/// The attributes as one JSON object; `None` when there are none.
fn attributes_of(attributes: &[WorkflowAttribute]) -> Result<Option<String>> {
    if attributes.is_empty() {
        return Ok(None);
    }
    let refused = |text: &str| Fault::new(Code::BadRequest, text.to_owned());
    let mut object: Map<String, Value> = Map::new();
    for attribute in attributes {
        if attribute.name.is_empty() {
            return Err(refused("an attribute has a name"));
        }
        if object.insert(attribute.name.to_owned(), attribute.json()).is_some() {
            return Err(refused(&format!("the attribute `{}` is given twice", attribute.name)));
        }
    }
    let json = Value::Object(object).to_string();
    if json.len() > PUBLISHED_BYTES_MAX {
        return Err(attributes_too_large());
    }
    if json.contains("\\u0000") {
        return Err(refused("an attribute holds the character U+0000, which Postgres cannot store"));
    }
    Ok(Some(json))
}
