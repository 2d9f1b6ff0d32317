//! Runs as an administrator sees them.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::status::WorkflowStatus;
use crate::app::workflow::{StepKind, StepStatus};
use crate::kernel::ids::{NodeId, RunId};
use crate::kernel::time::Timestamp;

/// One run.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct WorkflowRow {
    /// Id of the run.
    pub id: RunId,
    /// Wire name of its workflow.
    pub workflow: String,
    /// The version that it has.
    pub version: i32,
    /// The application's id, as JSON.
    pub key: Option<String>,
    /// Where it is in its life.
    pub status: WorkflowStatus,
    /// Why it has failed, is being compensated, has diverged or was ended.
    pub error: Option<WorkflowFailure>,
    /// What a person has asked of it and its node has not done yet.
    pub request: Option<WorkflowRequest>,
    /// Name of the node that executes it.
    pub node: Option<String>,
    /// Steps in its journal, when a node has left it last.
    pub steps: i32,
    /// When it is due; `None` while it only waits for what comes from outside, and for one that has ended.
    pub due_at: Option<Timestamp>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When a node first executed it.
    pub begun_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The run that has started it.
    pub parent: Option<RunId>,
}

/// A failure, without its details.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowFailure {
    /// A code of the application's own errors, or of the system.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// How the code of a run differs from its journal.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowDivergence {
    /// Where in the code.
    pub position: String,
    /// The step that the journal has there.
    pub expected: String,
    /// What the code does there; `None` when it ended without asking for that step.
    pub found: Option<String>,
}

/// What a person has asked of a run.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowRequest {
    /// To go on no further, until it is resumed.
    Pause,
    /// To take back what it has done, and end.
    Cancel,
}

impl WorkflowRequest {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }
}

/// One run with its journal.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct WorkflowDetail {
    /// The row of the list.
    pub run: WorkflowRow,
    /// The arguments object, as JSON.
    pub input: String,
    /// What its function has returned, as JSON.
    pub output: Option<String>,
    /// What its function has published last, as JSON.
    pub published: Option<String>,
    /// Its attributes, a JSON object.
    pub attributes: Option<String>,
    /// Id of the node that executes it.
    pub node_id: Option<NodeId>,
    /// While completed steps are compensated: how it ends then.
    pub ending: Option<WorkflowStatus>,
    /// Why they are compensated, of a run that has diverged meanwhile, or was paused for its crashes: `error`
    /// is about that.
    pub cause: Option<WorkflowFailure>,
    /// Of a run that has diverged at a step: how its code differs from its journal there.
    pub divergence: Option<WorkflowDivergence>,
    /// Its last activations that have ended before it had left, without a step having ended: its node was
    /// lost, or they failed.
    pub crashes: u32,
    /// When its time limit passes.
    pub deadline_at: Option<Timestamp>,
    /// Until when it is kept; `None` for one that has not ended.
    pub expires_at: Option<Timestamp>,
    /// Bytes of its journal, when a node has left it last.
    pub journal_bytes: i32,
    /// Subject of the token of the call that started it.
    pub subject: Option<String>,
    /// Tenant of the identity that it runs with.
    pub tenant: Option<String>,
    /// `traceparent` of the call that started it.
    pub trace: Option<String>,
    /// Where in the code of its parent it was started.
    pub parent_position: Option<String>,
    /// Whether it is cancelled with its parent.
    pub ends_with_parent: bool,
    /// The run that has continued as this one.
    pub continues: Option<RunId>,
    /// The run that this one has continued as.
    pub continued_as: Option<RunId>,
    /// The runs that it has started, 100 at most: those that it waits for to be cancelled, then the newest
    /// ones.
    pub children: Vec<WorkflowChild>,
    /// There are more children.
    pub has_more_children: bool,
    /// What it waits for.
    pub waits: Vec<WorkflowWait>,
    /// The journal in the order of the code, the compensation of a step after it: the last 1,000 rows.
    pub journal: Vec<WorkflowStep>,
    /// Rows of the journal that are left out; `forge.workflowSteps` has them.
    pub steps_before: u32,
    /// The versions of its workflow that the binary of the answering node has code for.
    pub versions: Vec<u32>,
}

/// A run that another one has started.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct WorkflowChild {
    /// Id of the run.
    pub id: RunId,
    /// Wire name of its workflow.
    pub workflow: String,
    /// The version that it has.
    pub version: i32,
    /// Where it is in its life.
    pub status: WorkflowStatus,
    /// Its parent is compensated when this one has been cancelled, and waits until then.
    pub is_awaited: bool,
    /// Where in the code of its parent it was started.
    pub position: Option<String>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A row of the journal.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct WorkflowStep {
    /// Place in the code: `4`, `5.0.1` for the first step of the first branch of a group, `-4` for the
    /// compensation of step `4`.
    pub position: String,
    /// The step that this row compensates.
    pub compensates: Option<String>,
    /// What it does.
    pub kind: StepKind,
    /// How far it is.
    pub status: StepStatus,
    /// The name that the code gives it.
    pub name: String,
    /// Attempts that were made, with the one that is under way or was interrupted.
    pub attempts: i32,
    /// The order in which steps have ended, from 1.
    pub number: Option<i32>,
    /// Its arguments, as JSON; `None` when they were not kept, or are too long for a list.
    pub input: Option<String>,
    /// Bytes of its arguments.
    pub input_bytes: Option<i32>,
    /// What it has returned, as JSON; `None` when it is too long for a list.
    pub output: Option<String>,
    /// Bytes of what it has returned.
    pub output_bytes: Option<i32>,
    /// Why it, or its last attempt, has failed.
    pub error: Option<WorkflowFailure>,
    /// The attempts that have failed, the last 20, oldest first.
    pub failed_attempts: Vec<WorkflowAttempt>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When the attempt began that is under way, or was when its node was lost: `status` is `running` or
    /// `interrupted`. An attempt shorter than a second is not seen.
    pub attempt_at: Option<Timestamp>,
    /// Until when it waits, or waited.
    pub due_at: Option<Timestamp>,
    /// The event that it waits for, or has consumed.
    pub event: Option<String>,
    /// The key of that event, as JSON.
    pub event_key: Option<String>,
    /// The run or job that it waits for, or has started.
    pub awaits: Option<Uuid>,
    /// The form of its arguments and result, which says whether they hold secrets.
    #[serde(skip)]
    shape: u64,
}

/// An attempt that has failed.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowAttempt {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub error: WorkflowFailure,
}

/// Something that a run waits for.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowWait {
    /// Where in the code.
    pub position: String,
    /// The name of the step.
    pub name: String,
    /// `sleep`, `event`, `signal`, `child` or `job`; that of the step when its next attempt is waited for.
    pub kind: StepKind,
    /// The step waits for its next attempt.
    pub is_retry: bool,
    /// The event or signal.
    pub event: Option<String>,
    /// The key of the event, as JSON.
    pub key: Option<String>,
    /// The run or job.
    pub awaits: Option<Uuid>,
    /// Since when.
    pub since: Timestamp,
    /// When the wait is over in any case; `None`: it has no time limit.
    pub until: Option<Timestamp>,
}

impl WorkflowStep {
    /// The form of its arguments and result.
    pub(crate) fn shape(&self) -> u64 {
        self.shape
    }

    /// What the run waits for at this step.
    pub(super) fn wait(&self) -> Option<WorkflowWait> {
        let is_retry = self.status == StepStatus::Retrying;
        if !is_retry && self.status != StepStatus::Waiting {
            return None;
        }
        let is_event = self.kind == StepKind::Event;
        Some(WorkflowWait {
            position: self.position.to_owned(),
            name: self.name.to_owned(),
            kind: self.kind,
            is_retry,
            event: self.event.to_owned(),
            key: self.event_key.as_ref().filter(|_| is_event).map(ToOwned::to_owned),
            awaits: self.awaits,
            since: self.started_at,
            until: self.due_at,
        })
    }
}

/// Reads the status of a run.
pub(in crate::workflow) fn status(row: &PgRow) -> sqlx::Result<WorkflowStatus> {
    parse_label(row, "status", "status of a run", WorkflowStatus::parse)
}

/// Reads the label in a column.
pub(super) fn parse_label<T>(
    row: &PgRow,
    column: &str,
    what: &str,
    parse: fn(&str) -> Option<T>,
) -> sqlx::Result<T> {
    let label: &str = row.try_get(column)?;
    parse(label).ok_or_else(|| unknown(what, label))
}

fn unknown(what: &str, label: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("`{label}` is no {what} that this version of Forge knows").into())
}

/// Reads a failure, if the row has one.
pub(super) fn failure(row: &PgRow) -> sqlx::Result<Option<WorkflowFailure>> {
    failure_in(row, "error_code", "error_message")
}

fn failure_in(row: &PgRow, code: &str, message: &str) -> sqlx::Result<Option<WorkflowFailure>> {
    let code: Option<String> = row.try_get(code)?;
    let message: Option<String> = row.try_get(message)?;
    Ok(code.map(|code| WorkflowFailure { code, message: message.unwrap_or_default() }))
}

/// Reads how a run has diverged, if it has at a step.
fn divergence(row: &PgRow) -> sqlx::Result<Option<WorkflowDivergence>> {
    let position: Option<String> = row.try_get("divergence_position")?;
    let expected: Option<String> = row.try_get("divergence_expected")?;
    let found = row.try_get("divergence_found")?;
    let at = position.zip(expected);
    Ok(at.map(|(position, expected)| WorkflowDivergence { position, expected, found }))
}

fn request(row: &PgRow) -> sqlx::Result<Option<WorkflowRequest>> {
    match row.try_get::<Option<&str>, _>("request")? {
        None => Ok(None),
        Some("pause") => Ok(Some(WorkflowRequest::Pause)),
        Some("cancel") => Ok(Some(WorkflowRequest::Cancel)),
        Some(label) => Err(unknown("request", label)),
    }
}

impl FromRow<'_, PgRow> for WorkflowRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let status = status(row)?;
        Ok(Self {
            id: row.try_get("id")?,
            workflow: row.try_get("workflow")?,
            version: row.try_get("version")?,
            key: row.try_get("key")?,
            status,
            error: failure(row)?,
            request: request(row)?,
            node: row.try_get("node")?,
            steps: row.try_get("steps")?,
            due_at: row.try_get("due_at")?,
            created_at: row.try_get("created_at")?,
            begun_at: row.try_get("begun_at")?,
            finished_at: row.try_get("finished_at")?,
            parent: row.try_get("parent_id")?,
        })
    }
}

impl FromRow<'_, PgRow> for WorkflowDetail {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let ending: Option<&str> = row.try_get("ending")?;
        let policy: Option<&str> = row.try_get("parent_policy")?;
        let journal_bytes: i64 = row.try_get("journal_bytes")?;
        Ok(Self {
            run: WorkflowRow::from_row(row)?,
            input: row.try_get("input")?,
            output: row.try_get("output")?,
            published: row.try_get("published")?,
            attributes: row.try_get("attributes")?,
            node_id: row.try_get("node_id")?,
            ending: ending.and_then(WorkflowStatus::parse),
            cause: failure_in(row, "cause_code", "cause_message")?,
            divergence: divergence(row)?,
            crashes: row.try_get::<i32, _>("crashes")?.unsigned_abs(),
            deadline_at: row.try_get("deadline_at")?,
            expires_at: row.try_get("expires_at")?,
            journal_bytes: i32::try_from(journal_bytes).unwrap_or(i32::MAX),
            subject: row.try_get("subject")?,
            tenant: row.try_get("tenant")?,
            trace: row.try_get("trace")?,
            parent_position: row.try_get("parent_position")?,
            ends_with_parent: policy == Some("cancel"),
            continues: row.try_get("continues")?,
            continued_as: row.try_get("continued_as")?,
            children: Vec::new(),
            has_more_children: false,
            waits: Vec::new(),
            journal: Vec::new(),
            steps_before: 0,
            versions: Vec::new(),
        })
    }
}

impl FromRow<'_, PgRow> for WorkflowChild {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            workflow: row.try_get("workflow")?,
            version: row.try_get("version")?,
            status: status(row)?,
            is_awaited: row.try_get("is_awaited")?,
            position: row.try_get("parent_position")?,
            created_at: row.try_get("created_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}

impl FromRow<'_, PgRow> for WorkflowStep {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let position: String = row.try_get("position")?;
        let failures: Option<&str> = row.try_get("failures")?;
        let failures = failures.map(serde_json::from_str).transpose();
        Ok(Self {
            compensates: position.strip_prefix('-').map(str::to_owned),
            position,
            kind: parse_label(row, "kind", "kind of a step", StepKind::parse)?,
            status: parse_label(row, "status", "status of a step", StepStatus::parse)?,
            name: row.try_get("name")?,
            attempts: row.try_get("attempts")?,
            number: row.try_get("number")?,
            input: row.try_get("input")?,
            input_bytes: row.try_get("input_bytes")?,
            output: row.try_get("output")?,
            output_bytes: row.try_get("output_bytes")?,
            error: failure(row)?,
            failed_attempts: failures.map_err(|error| sqlx::Error::Decode(error.into()))?.unwrap_or_default(),
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            attempt_at: row.try_get("attempt_at")?,
            due_at: row.try_get("due_at")?,
            event: row.try_get("event")?,
            event_key: row.try_get("event_key")?,
            awaits: row.try_get("awaits")?,
            shape: row.try_get::<i64, _>("shape")?.cast_unsigned(),
        })
    }
}
