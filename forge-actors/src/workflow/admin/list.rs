//! The runs that match a filter, in pages, at the cost that the lists of jobs have: where no index answers
//! the filter, the newest rows are looked through, and an answer that ends before its page is full says how
//! far back it looked; the next page goes on from there.

use chrono::DateTime;
use uuid::Uuid;

use super::filter::{RunSources, WorkflowFilter, WorkflowSearch};
use super::rows::WorkflowRow;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// Rows of one table that an answer looks through, the newest ones.
const SEARCHED_MAX: i64 = 20_000;
/// The same, where the rows of an index lie far apart in their table: each may cost a page.
const SCATTERED_MAX: i64 = 5_000;
/// How far the clock of a node that makes ids may be from that of the database, in milliseconds.
const CLOCKS_APART_MS_MAX: i64 = 3_600_000;
/// Milliseconds since 1970 that a UUIDv7 has space for.
const ID_MS_MAX: i64 = (1 << 48) - 1;

/// Runs, newest start first.
#[forge_app_macros::data]
#[derive(Debug, Clone, Default)]
pub struct WorkflowPage {
    /// The runs.
    pub rows: Vec<WorkflowRow>,
    /// Where older runs go on, as `before`; `None`: there are no older ones.
    pub next: Option<RunId>,
    /// Set when the rows that one answer looks through ended before the page was full: only runs that were
    /// started after this time were looked at.
    pub searched_to: Option<Timestamp>,
    /// The versions of those runs that have not ended for which the binary of the answering node has no code.
    pub without_code: Vec<WorkflowVersion>,
}

/// A version of a workflow.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowVersion {
    /// Wire name of the workflow.
    pub workflow: String,
    /// The version.
    pub version: i32,
}

/// Lists at most `limit` runs that match, newest first, of those that were started before `before`.
pub async fn list(
    db: &Db,
    search: &WorkflowSearch,
    before: Option<RunId>,
    limit: u16,
) -> Result<WorkflowPage, Fault> {
    let limit = limit.max(1);
    let sources = search.sources();
    let range = find_range(db, search, &sources, before, limit).await?;
    let rows = list_range(db, search, &sources, &range, limit).await?;
    let is_full = rows.len() == usize::from(limit);
    let horizon = range.horizon.filter(|_| !is_full);
    Ok(WorkflowPage {
        next: if is_full { rows.last().map(|row| row.id) } else { horizon },
        rows,
        searched_to: horizon.and_then(started_at),
        without_code: Vec::new(),
    })
}

/// One run, without its journal.
pub(super) async fn find_row(db: &Db, id: RunId) -> Result<Option<WorkflowRow>, Fault> {
    Ok(list(db, &WorkflowSearch::of_run(id), None, 1).await?.rows.pop())
}

/// The ids that an answer looks at: from `first` to before `end`.
pub(super) struct RunRange {
    first: RunId,
    end: RunId,
    /// Set when there are rows before `first` that may match.
    horizon: Option<RunId>,
}

impl RunRange {
    /// The ids from `first` to `last`.
    pub(super) fn through(first: RunId, last: RunId) -> Self {
        Self { first, end: after(last), horizon: None }
    }
}

async fn find_range(
    db: &Db,
    search: &WorkflowSearch,
    sources: &RunSources,
    before: Option<RunId>,
    limit: u16,
) -> Result<RunRange, Fault> {
    let WorkflowFilter { id, started_from, started_before, text, .. } = &search.filter;
    let mut end = before.unwrap_or(LAST);
    // A whole id is one row, wherever it is.
    let named = id.or_else(|| text.as_deref().and_then(|text| text.parse::<RunId>().ok()));
    if let Some(id) = named {
        return Ok(RunRange { end: after(id).min(end), ..RunRange::through(id, id) });
    }
    // Ids have the time of their start, by the clock of a node.
    if let Some(until) = started_before {
        end = end.min(id_at(*until, CLOCKS_APART_MS_MAX));
    }
    let from = started_from.map_or(FIRST, |from| id_at(from, -CLOCKS_APART_MS_MAX));
    let rows_max = |most: i64| if search.takes_all() { i64::from(limit) } else { most };
    let horizon: Option<RunId> = sqlx::query_scalar(include_str!("../sql/find_run_horizon.sql"))
        .bind(&sources.tables)
        .bind(&sources.by_status)
        .bind(end)
        .bind(rows_max(SEARCHED_MAX) - 1)
        .bind(rows_max(SCATTERED_MAX) - 1)
        .fetch_one(db)
        .await?;
    let horizon = horizon.filter(|horizon| *horizon > from);
    Ok(RunRange { first: horizon.unwrap_or(from), end, horizon })
}

pub(super) async fn list_range(
    db: &Db,
    search: &WorkflowSearch,
    sources: &RunSources,
    range: &RunRange,
    limit: u16,
) -> Result<Vec<WorkflowRow>, Fault> {
    let WorkflowFilter { workflow, version, key, parent, started_from, started_before, text, .. } =
        &search.filter;
    Ok(sqlx::query_as(include_str!("../sql/list_runs.sql"))
        .bind(&sources.tables)
        .bind(&sources.by_status)
        .bind(range.first)
        .bind(range.end)
        .bind(SEARCHED_MAX)
        .bind(search.labels())
        .bind(workflow)
        .bind(version.map(|version| i32::try_from(version).unwrap_or(i32::MAX)))
        .bind(key)
        .bind(parent)
        .bind(started_from)
        .bind(started_before)
        .bind(&search.attributes)
        .bind(text)
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?)
}

/// Before every id.
const FIRST: RunId = RunId::from_uuid(Uuid::nil());
/// After every id that a run has.
const LAST: RunId = RunId::from_uuid(Uuid::max());

/// The id after `id`.
fn after(id: RunId) -> RunId {
    RunId::from_uuid(Uuid::from_u128(id.as_uuid().as_u128().saturating_add(1)))
}

/// The first id of the millisecond that is so many after `moment`.
fn id_at(moment: Timestamp, later_ms: i64) -> RunId {
    let ms = moment.timestamp_millis().saturating_add(later_ms).clamp(0, ID_MS_MAX);
    RunId::from_uuid(Uuid::from_u128(u128::from(ms.unsigned_abs()) << 80))
}

/// When the run with this id was started, by the clock of the node that made the id.
pub(super) fn started_at(id: RunId) -> Option<Timestamp> {
    let (secs, nanos) = id.as_uuid().get_timestamp()?.to_unix();
    DateTime::from_timestamp(secs.cast_signed(), nanos)
}
