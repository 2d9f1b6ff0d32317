//! How many runs there are: exact up to a bound, so that counting costs the same however many there are.

use std::collections::BTreeMap;

use sqlx::Row;

use super::rows;
use super::status::WorkflowStatus;
use crate::db::handle::Db;
use crate::job::admin::BoundedCount;
use crate::kernel::fault::Fault;

/// Runs that are counted of each part.
const COUNTED_MAX: u32 = 5_000;

/// How many runs are in a status.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowStatusCount {
    /// The status.
    pub status: WorkflowStatus,
    /// How many.
    pub count: BoundedCount,
}

/// How many runs of a version of a workflow are in a status.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowVersionCount {
    /// Wire name of the workflow.
    pub workflow: String,
    /// The version.
    pub version: i32,
    /// The status.
    pub status: WorkflowStatus,
    /// How many.
    pub count: BoundedCount,
}

/// How many runs there are.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowTotals {
    /// Every status.
    pub statuses: Vec<WorkflowStatusCount>,
    /// The versions of workflows that have runs among those that were counted, by name and version.
    pub versions: Vec<WorkflowVersionCount>,
}

/// A version of a workflow, and a status.
type CountedKey = (String, i32, WorkflowStatus);

/// Counts the runs for the tabs of a page.
pub async fn totals(db: &Db) -> Result<WorkflowTotals, Fault> {
    let read = sqlx::query(include_str!("../sql/count_runs.sql")).bind(i64::from(COUNTED_MAX) + 1);
    let mut runs: BTreeMap<CountedKey, i64> = BTreeMap::new();
    let (mut live, mut finished) = (0, 0);
    for row in read.fetch_all(db).await? {
        let (part, count): (&str, i64) = (row.try_get("part")?, row.try_get("runs")?);
        let status = rows::status(&row)?;
        match part {
            "live" => live += count,
            "finished" => finished += count,
            _ => {}
        }
        // What an index finds by its status is counted by that.
        if status.has_index() == matches!(part, "parked" | "ended") {
            runs.insert((row.try_get("workflow")?, row.try_get("version")?, status), count);
        }
    }
    let whole = |part: i64| part <= i64::from(COUNTED_MAX);
    Ok(counted(&runs, COUNTED_MAX, |status| match (status.has_index(), status.is_ended()) {
        (true, _) => true,
        (false, false) => whole(live),
        (false, true) => whole(finished),
    }))
}

/// What was counted, with `most` as the bound. `is_whole`: the part in which runs of a status are was read to
/// its end, unless the status has reached the bound itself.
fn counted(
    runs: &BTreeMap<CountedKey, i64>,
    most: u32,
    is_whole: impl Fn(WorkflowStatus) -> bool,
) -> WorkflowTotals {
    let all = |status: WorkflowStatus| -> i64 {
        runs.iter().filter(|((.., of), _)| *of == status).map(|(_, count)| *count).sum()
    };
    let bounded = |status: WorkflowStatus, count: i64| {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let is_more = !is_whole(status) || all(status) > i64::from(most);
        BoundedCount { count: count.min(most), is_more }
    };
    let statuses = WorkflowStatus::ALL
        .into_iter()
        .map(|status| WorkflowStatusCount { status, count: bounded(status, all(status)) });
    let versions = runs.iter().map(|((workflow, version, status), count)| WorkflowVersionCount {
        workflow: workflow.to_owned(),
        version: *version,
        status: *status,
        count: bounded(*status, *count),
    });
    WorkflowTotals { statuses: statuses.collect(), versions: versions.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_to_its_end_is_more() {
        use WorkflowStatus::{Completed, Failed, Waiting};
        let key = |version, status| ("flow".to_owned(), version, status);
        let runs = [(key(1, Waiting), 4), (key(2, Waiting), 2), (key(1, Completed), 3), (key(1, Failed), 11)];
        let totals = counted(&runs.into(), 10, |status| status != Completed);
        let of = |wanted: WorkflowStatus| {
            let found = totals.statuses.iter().find(|found| found.status == wanted).expect("every status");
            (found.count.count, found.count.is_more)
        };
        assert_eq!([Waiting, Completed, Failed].map(of), [(6, false), (3, true), (10, true)]);
        assert_eq!(of(WorkflowStatus::Ready), (0, false));
        let versions = totals.versions.iter().map(|found| (found.version, found.status, found.count.count));
        let expected = [(1, Waiting, 4), (1, Completed, 3), (1, Failed, 10), (2, Waiting, 2)];
        assert_eq!(versions.collect::<Vec<_>>(), expected);
    }
}
