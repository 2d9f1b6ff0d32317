//! How many runs match a filter, counted to the last: what a person looks at before something is done to all
//! of them.

use sqlx::Row;

use super::action::WorkflowAction;
use super::filter::{WorkflowFilter, WorkflowSearch};
use super::rows;
use super::totals::WorkflowStatusCount;
use crate::db::handle::Db;
use crate::job::admin::BoundedCount;
use crate::kernel::fault::Fault;

/// How many runs match a filter.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowMatches {
    /// By status, those without a run left out.
    pub statuses: Vec<WorkflowStatusCount>,
    /// All of them.
    pub total: u32,
    /// Those that the action would change; all of them when no action was named.
    pub actionable: u32,
}

/// Counts the runs that match. Reads all runs that may.
pub async fn count_matches(
    db: &Db,
    search: &WorkflowSearch,
    action: Option<WorkflowAction>,
) -> Result<WorkflowMatches, Fault> {
    let sources = search.sources();
    let WorkflowFilter { id, workflow, version, key, parent, started_from, started_before, text, .. } =
        &search.filter;
    // A whole id as the text finds that run alone.
    let text = id.map(|id| id.to_string()).or_else(|| text.to_owned());
    let counted = sqlx::query(include_str!("../sql/count_matching_runs.sql"))
        .bind(&sources.tables)
        .bind(&sources.by_status)
        .bind(search.labels())
        .bind(workflow)
        .bind(version.map(|version| i32::try_from(version).unwrap_or(i32::MAX)))
        .bind(key)
        .bind(parent)
        .bind(started_from)
        .bind(started_before)
        .bind(&search.attributes)
        .bind(text)
        .fetch_all(db)
        .await?;
    let count = |row: &sqlx::postgres::PgRow| {
        let runs: i64 = row.try_get("runs")?;
        let count = BoundedCount { count: u32::try_from(runs).unwrap_or(u32::MAX), is_more: false };
        Ok(WorkflowStatusCount { status: rows::status(row)?, count })
    };
    let mut statuses = counted.iter().map(count).collect::<sqlx::Result<Vec<_>>>()?;
    statuses.sort_by_key(|found| found.status);
    let sum = |applies: &dyn Fn(&WorkflowStatusCount) -> bool| {
        let counted = statuses.iter().filter(|found| applies(found)).map(|found| found.count.count);
        counted.fold(0, u32::saturating_add)
    };
    Ok(WorkflowMatches {
        total: sum(&|_| true),
        actionable: sum(&|found| action.is_none_or(|action| action.applies_to(found.status))),
        statuses,
    })
}
