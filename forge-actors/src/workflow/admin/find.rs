//! One run with its journal.

use sqlx::{FromRow, Row};

use super::rows::{WorkflowChild, WorkflowDetail, WorkflowStep, WorkflowWait};
use super::status::WorkflowStatus;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;

/// Rows of a journal that are shown.
const STEPS_SHOWN_MAX: i64 = 1_000;
/// Bytes of the arguments or the result of a step that are shown in the journal.
const SHOWN_BYTES_MAX: i32 = 4 * 1024;
/// Children of one run that are shown.
const CHILDREN_SHOWN_MAX: usize = 100;

/// A part of the journal of a run.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct WorkflowSteps {
    /// The rows in the order of the code, the compensation of a step after it: 1,000 at most.
    pub steps: Vec<WorkflowStep>,
    /// Rows before them.
    pub steps_before: u32,
}

/// Finds a run, whether it has ended or not.
pub async fn find(db: &Db, id: RunId) -> Result<Option<WorkflowDetail>, Fault> {
    let find = sqlx::query_as(include_str!("../sql/show_run.sql")).bind(id);
    let Some(mut detail): Option<WorkflowDetail> = find.fetch_optional(db).await? else { return Ok(None) };
    let list = sqlx::query_as::<_, WorkflowChild>(include_str!("../sql/list_children.sql")).bind(id);
    detail.children = list.bind(CHILDREN_SHOWN_MAX as i64 + 1).fetch_all(db).await?;
    detail.has_more_children = detail.children.len() > CHILDREN_SHOWN_MAX;
    detail.children.truncate(CHILDREN_SHOWN_MAX);
    let WorkflowSteps { steps, steps_before } = list_steps(db, id, None).await?;
    (detail.journal, detail.steps_before) = (steps, steps_before);
    let status = detail.run.status;
    if !status.is_ended() {
        let waits = detail.journal.iter().filter_map(WorkflowStep::wait);
        // A compensation that has failed for good waits for a person, and is not tried again by itself.
        let waits = waits.filter(|wait| status != WorkflowStatus::CompensationFailed || !wait.is_retry);
        detail.waits = waits.collect::<Vec<WorkflowWait>>();
    }
    Ok(Some(detail))
}

/// The last rows of a journal that come before the position `before`; without it the last ones.
///
/// # Errors
/// `BAD_REQUEST` when `before` is no position.
pub async fn list_steps(db: &Db, run: RunId, before: Option<&str>) -> Result<WorkflowSteps, Fault> {
    let is_position = |text: &str| {
        let parts = text.strip_prefix('-').unwrap_or(text).split('.');
        parts.map(str::parse::<u32>).all(|part| part.is_ok())
    };
    if before.is_some_and(|before| !is_position(before)) {
        return Err(Fault::new(Code::BadRequest, "`before` is no position of a journal"));
    }
    let rows = sqlx::query(include_str!("../sql/show_steps.sql"))
        .bind(run)
        .bind(None::<&str>)
        .bind(STEPS_SHOWN_MAX)
        .bind(SHOWN_BYTES_MAX)
        .bind(before)
        .fetch_all(db)
        .await?;
    let all: i64 = rows.first().map_or(Ok(0), |row| row.try_get("steps"))?;
    Ok(WorkflowSteps {
        steps_before: u32::try_from(all).unwrap_or(u32::MAX) - u32::try_from(rows.len()).unwrap_or(0),
        steps: rows.iter().rev().map(WorkflowStep::from_row).collect::<sqlx::Result<_>>()?,
    })
}

/// Finds one row of a journal, with all of its arguments and its result.
pub async fn find_step(db: &Db, run: RunId, position: &str) -> Result<Option<WorkflowStep>, Fault> {
    Ok(sqlx::query_as(include_str!("../sql/show_steps.sql"))
        .bind(run)
        .bind(Some(position))
        .bind(1_i64)
        .bind(i32::MAX)
        .bind(None::<&str>)
        .fetch_optional(db)
        .await?)
}
