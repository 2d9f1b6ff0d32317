//! The history of a run, part by part: what a replay needs of the run and of its journal.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::rows::{WorkflowFailure, failure, parse_label, status};
use super::status::WorkflowStatus;
use crate::app::job_failure::JobFailure;
use crate::app::workflow::{StepKind, StepStatus};
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// Steps of one part at most.
const PART_STEPS_MAX: i64 = 2_000;
/// Bytes of results after which a part ends. Its last result may have a MiB more.
const PART_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// A part of the history of a run.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct WorkflowHistoryPart {
    /// The run. Two parts belong together when their runs are equal.
    pub run: HistoryRun,
    /// Some of its steps, in the order of the texts of their positions.
    pub steps: Vec<HistoryStep>,
    /// Where the next part begins.
    pub next: Option<String>,
}

/// What a replay needs of a run.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRun {
    /// Id of the run.
    pub id: RunId,
    /// Wire name of its workflow.
    pub workflow: String,
    /// The version that it has.
    pub version: u32,
    /// Where it was in its life.
    pub status: WorkflowStatus,
    /// What it had completed was being compensated.
    pub is_ending: bool,
    /// Counts its activations.
    pub claim: u32,
    /// Why it has failed, or was ended.
    pub error: Option<WorkflowFailure>,
    /// The arguments object, as JSON.
    pub input: String,
    /// What its function has returned, as JSON.
    pub output: Option<String>,
    /// Secrets are left out of the arguments.
    pub is_input_redacted: bool,
    /// Secrets are left out of the result.
    pub is_output_redacted: bool,
    /// Subject of the token of the call that started it.
    pub subject: Option<String>,
    /// Tenant of the identity that it runs with.
    pub tenant: Option<String>,
    /// Roles of that identity.
    pub roles: Vec<String>,
    /// Its attributes, a JSON object.
    pub attributes: Option<String>,
    /// When a node first executed it, or it was started.
    pub begun_at: Timestamp,
    /// Rows of its journal.
    pub steps: u32,
}

/// What a replay needs of a step.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryStep {
    /// Place in the code: `4`, `5.0.1` for the first step of the first branch of a group, `-4` for the
    /// compensation of step `4`.
    pub position: String,
    /// What it does.
    pub kind: StepKind,
    /// How far it is.
    pub status: StepStatus,
    /// The name that the code gives it.
    pub name: String,
    /// The form of its arguments and result: a number of 64 bits, in hexadecimal digits.
    pub shape: String,
    /// The order in which steps have ended, from 1.
    pub number: Option<u32>,
    /// What it has returned, as JSON.
    pub output: Option<String>,
    /// Secrets are left out of what it has returned.
    pub is_redacted: bool,
    /// Why it has failed.
    pub error: Option<JobFailure>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The run or job that it waits for, or has started.
    pub awaits: Option<Uuid>,
}

impl HistoryStep {
    /// The form of its arguments and result; `None` when that is no such number.
    pub(crate) fn form(&self) -> Option<u64> {
        u64::from_str_radix(&self.shape, 16).ok()
    }
}

/// A part of the history of a run: that behind the position `after`, or the first one.
pub async fn history_part(
    db: &Db,
    run: RunId,
    after: Option<&str>,
) -> Result<Option<WorkflowHistoryPart>, Fault> {
    let find = sqlx::query_as(include_str!("../sql/find_history_run.sql")).bind(run);
    let Some(found): Option<HistoryRun> = find.fetch_optional(db).await? else { return Ok(None) };
    let steps: Vec<HistoryStep> = sqlx::query_as(include_str!("../sql/list_history_steps.sql"))
        .bind(run)
        .bind(after.unwrap_or_default())
        .bind(PART_STEPS_MAX)
        .bind(PART_BYTES_MAX)
        .fetch_all(db)
        .await?;
    let next = steps.last().map(|last| last.position.to_owned());
    Ok(Some(WorkflowHistoryPart { run: found, steps, next }))
}

impl FromRow<'_, PgRow> for HistoryRun {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            workflow: row.try_get("workflow")?,
            version: row.try_get::<i32, _>("version")?.unsigned_abs(),
            status: status(row)?,
            is_ending: row.try_get("is_ending")?,
            claim: row.try_get::<i32, _>("claim")?.unsigned_abs(),
            error: failure(row)?,
            input: row.try_get("input")?,
            output: row.try_get("output")?,
            is_input_redacted: false,
            is_output_redacted: false,
            subject: row.try_get("subject")?,
            tenant: row.try_get("tenant")?,
            roles: row.try_get("roles")?,
            attributes: row.try_get("attributes")?,
            begun_at: row.try_get("begun_at")?,
            steps: u32::try_from(row.try_get::<i64, _>("steps")?).unwrap_or(u32::MAX),
        })
    }
}

impl FromRow<'_, PgRow> for HistoryStep {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let error: Option<&str> = row.try_get("error")?;
        let error = error.map(serde_json::from_str).transpose();
        Ok(Self {
            position: row.try_get("position")?,
            kind: parse_label(row, "kind", "kind of a step", StepKind::parse)?,
            status: parse_label(row, "status", "status of a step", StepStatus::parse)?,
            name: row.try_get("name")?,
            shape: format!("{:016x}", row.try_get::<i64, _>("shape")?),
            number: row.try_get::<Option<i32>, _>("number")?.map(i32::unsigned_abs),
            output: row.try_get("output")?,
            is_redacted: false,
            error: error.map_err(|error| sqlx::Error::Decode(error.into()))?,
            finished_at: row.try_get("finished_at")?,
            awaits: row.try_get("awaits")?,
        })
    }
}
