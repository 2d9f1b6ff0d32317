//! `forge.crashes`: the crash journal, newest first.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::app::{QueryContext, Result};
use crate::kernel::ids::NodeId;
use crate::kernel::time::Timestamp;

/// Rows of one answer at most.
const ROWS_MAX: u16 = 1_000;

/// Equal crashes of about one second.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct RecordedCrash {
    /// The node it happened on.
    pub node: NodeId,
    /// Path of the actor, or of the handler below `node/functions`.
    pub path: String,
    /// Kind of actor or handler.
    pub kind: String,
    /// Panic text or error chain.
    pub cause: String,
    /// The message that was being handled.
    pub message: Option<String>,
    /// The stack of a panic.
    pub backtrace: Option<String>,
    /// How often the actor had been restarted before.
    pub restarts: i32,
    /// How many equal ones this row stands for.
    pub occurrences: i32,
    /// When the last of them happened.
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

/// Crashes of all nodes, or of one, newest first: 100 unless `limit` says otherwise, 1,000 at most.
#[forge_app_macros::query(name = "forge.crashes", role = "admin", refresh = "2s")]
pub async fn crashes(
    ctx: &QueryContext,
    limit: Option<u16>,
    node: Option<NodeId>,
) -> Result<Vec<RecordedCrash>> {
    let limit = i64::from(limit.unwrap_or(100).min(ROWS_MAX));
    Ok(sqlx::query_as(include_str!("sql/list_crashes.sql"))
        .bind(limit)
        .bind(node)
        .fetch_all(ctx.db())
        .await?)
}
