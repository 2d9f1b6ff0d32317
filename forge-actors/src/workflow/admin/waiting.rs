//! How many runs wait for an event.

use crate::db::handle::Db;
use crate::job::admin::BoundedCount;
use crate::kernel::fault::Fault;

/// Waits that are counted.
const COUNTED_MAX: u32 = 5_000;

/// How many runs wait for an event of this name and key: exact up to some thousands.
pub async fn count_waiting(db: &Db, event: &str, key: &str) -> Result<BoundedCount, Fault> {
    let count = sqlx::query_scalar(include_str!("../sql/count_waiting.sql"));
    let counted: i64 = count.bind(event).bind(key).bind(i64::from(COUNTED_MAX) + 1).fetch_one(db).await?;
    let counted = u32::try_from(counted).unwrap_or(u32::MAX);
    Ok(BoundedCount { count: counted.min(COUNTED_MAX), is_more: counted > COUNTED_MAX })
}
