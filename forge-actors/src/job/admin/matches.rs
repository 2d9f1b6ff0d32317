//! How many jobs match a filter, counted to the last: what a person looks at before something is done to all
//! of them.

use sqlx::Row;

use super::action::JobAction;
use super::filter::{JobFilter, JobSearch, JobWait};
use super::list::{labels, names};
use super::totals::{BoundedCount, StatusCount};
use crate::db::handle::Db;
use crate::job::store;
use crate::kernel::fault::Fault;

/// How many jobs match a filter.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobMatches {
    /// By status, those without a job left out.
    pub statuses: Vec<StatusCount>,
    /// All of them.
    pub total: u32,
    /// Those that the action would change; all of them when no action was named.
    pub actionable: u32,
    /// Handlers whose jobs were left out, because arguments are asked for and theirs hold secrets.
    pub unsearched: Vec<String>,
}

/// Counts the jobs that match. Reads all jobs that may.
pub async fn count_matches(
    db: &Db,
    search: &JobSearch,
    action: Option<JobAction>,
) -> Result<JobMatches, Fault> {
    let sources = search.sources();
    let JobFilter { statuses, wait, queue, handler, args, tenant, text } = &search.filter;
    let (paths, values): (Vec<&str>, Vec<&str>) =
        args.iter().map(|argument| (&*argument.path, &*argument.value)).unzip();
    let rows = sqlx::query(include_str!("../sql/count_matching_jobs.sql"))
        .bind(names(&sources.kinds))
        .bind(labels(&sources.ended))
        .bind((!statuses.is_empty()).then(|| labels(statuses)))
        .bind(wait.map(JobWait::as_str))
        .bind(queue)
        .bind(handler)
        .bind(search.searchable())
        .bind(paths)
        .bind(values)
        .bind(tenant)
        .bind(text)
        .fetch_all(db)
        .await?;
    let count = |row: &sqlx::postgres::PgRow| {
        let count = BoundedCount::of(row.try_get("jobs")?, u32::MAX);
        Ok(StatusCount { status: store::status(row)?, count })
    };
    let mut statuses = rows.iter().map(count).collect::<sqlx::Result<Vec<_>>>()?;
    statuses.sort_by_key(|found| found.status);
    let sum = |applies: &dyn Fn(&StatusCount) -> bool| {
        let counted = statuses.iter().filter(|found| applies(found)).map(|found| found.count.count);
        counted.fold(0, u32::saturating_add)
    };
    Ok(JobMatches {
        total: sum(&|_| true),
        actionable: sum(&|found| action.is_none_or(|action| action.applies_to(found.status))),
        unsearched: search.unsearched.to_vec(),
        statuses,
    })
}
