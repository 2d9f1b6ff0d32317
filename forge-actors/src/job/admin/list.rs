//! The jobs that match a filter, in pages.
//!
//! A page costs no more than a bounded number of rows, whatever the filter and however many jobs there are.
//! Where an index answers the filter, those are the rows of the page. Otherwise the newest rows are looked
//! through, and an answer that ends before its page is full says how far back it looked; the next page goes
//! on from there.

use chrono::DateTime;

use super::filter::{JobFilter, JobSearch, JobSource, JobSources, JobWait};
use super::rows::JobRow;
use crate::app::JobStatus;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::Timestamp;

/// Rows of one table that an answer looks through, the newest ones.
const SEARCHED_MAX: i64 = 20_000;
/// The same, where the rows of an index lie far apart in their table: each may cost a page.
const SCATTERED_MAX: i64 = 5_000;

/// Jobs, newest dispatch first.
#[forge_app_macros::data]
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    /// The jobs.
    pub rows: Vec<JobRow>,
    /// Where older jobs go on, as `before`; `None`: there are no older ones.
    pub next: Option<JobId>,
    /// Set when the rows that one answer looks through ended before the page was full: only jobs that were
    /// dispatched after this time were looked at.
    pub searched_to: Option<Timestamp>,
    /// Handlers whose jobs were left out, because arguments are asked for and theirs hold secrets.
    pub unsearched: Vec<String>,
}

/// Lists at most `limit` jobs that match, newest first, of those that were dispatched before `before`.
pub async fn list(db: &Db, search: &JobSearch, before: Option<JobId>, limit: u16) -> Result<JobPage, Fault> {
    let limit = limit.max(1);
    let sources = search.sources();
    let range = find_range(db, search, &sources, before, limit).await?;
    let mut rows = list_range(db, search, &sources, &range, limit).await?;
    for row in &mut rows {
        row.hide_arguments(|name| search.open.iter().any(|open| open == name));
    }
    let is_full = rows.len() == usize::from(limit);
    let horizon = range.horizon.filter(|_| !is_full);
    Ok(JobPage {
        next: if is_full { rows.last().map(|row| row.id) } else { horizon },
        rows,
        searched_to: horizon.and_then(dispatched_at),
        unsearched: search.unsearched.to_vec(),
    })
}

/// The ids that an answer looks at: from `first` to before `end`.
struct IdRange {
    first: JobId,
    end: JobId,
    /// Set when there are rows before `first`.
    horizon: Option<JobId>,
}

async fn find_range(
    db: &Db,
    search: &JobSearch,
    sources: &JobSources,
    before: Option<JobId>,
    limit: u16,
) -> Result<IdRange, Fault> {
    let end = before.unwrap_or(LAST);
    // A whole id is one row, wherever it is.
    if let Some(id) = search.filter.text.as_deref().and_then(|text| text.parse::<JobId>().ok()) {
        return Ok(IdRange { first: id, end: after(id).min(end), horizon: None });
    }
    let rows_max = |most: i64| if search.takes_all() { i64::from(limit) } else { most };
    let horizon: Option<JobId> = sqlx::query_scalar(include_str!("../sql/find_horizon.sql"))
        .bind(names(&sources.kinds))
        .bind(labels(&sources.ended))
        .bind(end)
        .bind(rows_max(SEARCHED_MAX) - 1)
        .bind(rows_max(SCATTERED_MAX) - 1)
        .fetch_one(db)
        .await?;
    Ok(IdRange { first: horizon.unwrap_or(FIRST), end, horizon })
}

async fn list_range(
    db: &Db,
    search: &JobSearch,
    sources: &JobSources,
    range: &IdRange,
    limit: u16,
) -> Result<Vec<JobRow>, Fault> {
    let JobFilter { statuses, wait, queue, handler, args, tenant, text } = &search.filter;
    let (paths, values): (Vec<&str>, Vec<&str>) =
        args.iter().map(|argument| (&*argument.path, &*argument.value)).unzip();
    Ok(sqlx::query_as(include_str!("../sql/list_jobs.sql"))
        .bind(names(&sources.kinds))
        .bind(labels(&sources.ended))
        .bind(range.first)
        .bind(range.end)
        .bind(SEARCHED_MAX)
        .bind((!statuses.is_empty()).then(|| labels(statuses)))
        .bind(wait.map(JobWait::as_str))
        .bind(queue)
        .bind(handler)
        .bind(search.searchable())
        .bind(paths)
        .bind(values)
        .bind(tenant)
        .bind(text)
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?)
}

pub(super) fn names(kinds: &[JobSource]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.as_str()).collect()
}

pub(super) fn labels(statuses: &[JobStatus]) -> Vec<&'static str> {
    statuses.iter().map(|status| status.as_str()).collect()
}

/// Before every id.
const FIRST: JobId = JobId::from_uuid(uuid::Uuid::nil());
/// After every id that a job has.
const LAST: JobId = JobId::from_uuid(uuid::Uuid::max());

/// The id after `id`.
fn after(id: JobId) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(id.as_uuid().as_u128().saturating_add(1)))
}

/// When the job with this id was dispatched, by the clock of the node that made the id.
pub(super) fn dispatched_at(id: JobId) -> Option<Timestamp> {
    let (secs, nanos) = id.as_uuid().get_timestamp()?.to_unix();
    DateTime::from_timestamp(secs.cast_signed(), nanos)
}
