//! The rows of `forge_crashes`: writes, reads and deletes them.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::db::handle::Db;
use crate::kernel::error_chain::error_causes;
use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::kernel::storable::in_ascii;
use crate::kernel::time::Timestamp;
use crate::supervise::Crash;

/// Rows that one call of [`delete_old_crashes`] deletes at most.
pub(super) const DELETE_MAX: u32 = 10_000;

/// Equal crashes of one batch.
pub(super) struct CrashRow {
    /// The last of the crashes; its time and number of restarts stand for all.
    pub(super) crash: Crash,
    pub(super) cause: String,
    pub(super) occurrences: i32,
}

impl CrashRow {
    /// The row that is written in the place of this one, which the database refused for `refusal`: in ASCII,
    /// and without the backtrace.
    pub(super) fn plain(&self, refusal: &Fault) -> Self {
        let refusal = error_causes(refusal).unwrap_or_else(|| refusal.to_string());
        let cause =
            format!("{} (in ASCII, because the database refused the original: {refusal})", self.cause);
        Self {
            crash: Crash { path: in_ascii(&self.crash.path), backtrace: None, ..self.crash.clone() },
            cause: in_ascii(&cause),
            occurrences: self.occurrences,
        }
    }
}

/// Equal crashes of about one second, as they are recorded.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct RecordedCrash {
    /// The node on which they happened.
    pub node: NodeId,
    /// Path of the actor, or of the handler below `node/functions`.
    pub path: String,
    /// Kind of the actor or handler.
    pub kind: String,
    /// Panic text or error chain.
    pub cause: String,
    /// The message that the actor was handling.
    pub message: Option<String>,
    /// The stack of a panic.
    pub backtrace: Option<String>,
    /// Restarts of the actor before the crash.
    pub restarts: i32,
    /// Number of equal crashes that this row stands for.
    pub occurrences: i32,
    /// When the last of them happened, by the clock of the node.
    pub at: Timestamp,
}

impl sqlx::FromRow<'_, PgRow> for RecordedCrash {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            node: row.try_get("node_id")?,
            path: row.try_get("path")?,
            kind: row.try_get("kind")?,
            cause: row.try_get("cause")?,
            message: row.try_get("message")?,
            backtrace: row.try_get("backtrace")?,
            restarts: row.try_get("restarts")?,
            occurrences: row.try_get("occurrences")?,
            at: row.try_get("at")?,
        })
    }
}

/// Reads the newest crashes of all nodes, or of one, newest first.
pub async fn list_crashes(db: &Db, node: Option<NodeId>, limit: u16) -> sqlx::Result<Vec<RecordedCrash>> {
    let rows = sqlx::query_as(include_str!("sql/list_crashes.sql")).bind(i64::from(limit)).bind(node);
    rows.fetch_all(db).await
}

/// Reads the newest crashes of one actor, newest first.
pub async fn list_crashes_of(
    db: &Db,
    node: NodeId,
    path: &str,
    limit: u16,
) -> sqlx::Result<Vec<RecordedCrash>> {
    let rows = sqlx::query_as(include_str!("sql/list_crashes_of.sql"));
    rows.bind(node).bind(path).bind(i64::from(limit)).fetch_all(db).await
}

/// Counts the crashes of the last 24 hours, over all nodes.
pub async fn count_crashes(db: &Db) -> sqlx::Result<u32> {
    let count: i64 = sqlx::query_scalar(include_str!("sql/count_crashes.sql")).fetch_one(db).await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Appends the crashes of a node.
pub(super) async fn insert_crashes(db: &Db, node: NodeId, rows: &[CrashRow]) -> Result<(), Fault> {
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
        .bind(i64::from(DELETE_MAX))
        .execute(db)
        .await?;
    Ok(deleted.rows_affected())
}
