//! Writes and deletes the rows of `forge_crashes`.

use std::time::Duration;

use super::crash_writer::CrashRow;
use crate::db::handle::Db;
use crate::kernel::ids::NodeId;

/// Rows that one call of [`delete_old_crashes`] deletes at most.
pub(super) const DELETE_MAX: u64 = 10_000;

/// Appends the crashes of a node.
pub(super) async fn insert_crashes(db: &Db, node: NodeId, rows: &[CrashRow]) -> sqlx::Result<()> {
    let texts = |text: fn(&CrashRow) -> &str| rows.iter().map(text).collect::<Vec<_>>();
    let options = |text: fn(&CrashRow) -> Option<&str>| rows.iter().map(text).collect::<Vec<_>>();
    let restarts = rows.iter().map(|row| i32::try_from(row.crash.restarts).unwrap_or(i32::MAX));
    sqlx::query(include_str!("sql/insert_crashes.sql"))
        .bind(node)
        .bind(texts(|row| &row.crash.path))
        .bind(texts(|row| &row.crash.kind))
        .bind(texts(|row| &row.cause))
        .bind(options(|row| row.crash.message))
        .bind(options(|row| row.crash.backtrace.as_deref()))
        .bind(restarts.collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.occurrences).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.crash.at).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes crashes that are older than `retention`, at most [`DELETE_MAX`]. Returns their number.
pub(super) async fn delete_old_crashes(db: &Db, retention: Duration) -> sqlx::Result<u64> {
    let deleted = sqlx::query(include_str!("sql/delete_old_crashes.sql"))
        .bind(retention.as_secs_f64())
        .bind(i64::try_from(DELETE_MAX).unwrap_or(i64::MAX))
        .execute(db)
        .await?;
    Ok(deleted.rows_affected())
}
