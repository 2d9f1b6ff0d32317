//! SQL statements of change capture.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;

use crate::db::advisory_lock::{LockKey, try_lock_transaction};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::kernel::commit::{Snapshot, TableId, Xid};
use crate::kernel::fault::Fault;
use crate::kernel::time::secs;

use super::state::PolledChanges;

/// Rows that one poll reads; when there are more, all tables count as changed. Reading them takes about 5
/// ms.
const POLL_ROWS_MAX: i32 = 20_000;
/// Rows that one sweep deletes; when there are more, the next sweep follows at once.
pub const SWEEP_ROWS_MAX: u32 = 5_000;
/// Time limit of one statement of a sweep.
pub(super) const SWEEP_TIMEOUT: Duration = secs(5);
/// Time limit of one statement that creates or drops the triggers of a table.
pub(super) const CAPTURE_TIMEOUT: Duration = secs(30);
/// How long a statement waits for a table's lock. All later writers of the table queue behind a statement
/// that waits, so a short wait and another try hold them up less.
const TABLE_LOCK_WAIT: &str = "100ms";

/// Reads what changed since the snapshot `since`, which is `None` for the first poll.
pub(super) async fn read_changes(db: &Db, since: Option<&Snapshot>) -> Result<PolledChanges, Fault> {
    let since = since.map(Snapshot::to_string);
    let row = sqlx::query(include_str!("sql/read_changes.sql"))
        .bind(since)
        .bind(POLL_ROWS_MAX)
        .fetch_one(db)
        .await?;
    polled_changes(&row).map_err(Fault::internal)
}

fn polled_changes(row: &PgRow) -> Result<PolledChanges, Box<dyn std::error::Error + Send + Sync>> {
    let oids: Vec<Oid> = row.try_get("tables")?;
    Ok(PolledChanges {
        snapshot: row.try_get::<&str, _>("snapshot")?.parse()?,
        horizon: xid(row, "horizon")?,
        server_started: row.try_get("server_started")?,
        too_many: row.try_get("too_many")?,
        tables: oids.into_iter().map(|oid| TableId(oid.0)).collect(),
    })
}

fn xid(row: &PgRow, column: &str) -> Result<Xid, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Xid(row.try_get::<&str, _>(column)?.parse()?))
}

/// Lists the tables whose every change is recorded. Queries that read other relations have to be run again
/// at intervals.
pub async fn captured_tables(db: &Db) -> Result<BTreeSet<TableId>, Fault> {
    let oids: Vec<Oid> = sqlx::query_scalar(include_str!("sql/list_captured.sql")).fetch_all(db).await?;
    Ok(oids.into_iter().map(|oid| TableId(oid.0)).collect())
}

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Rows deleted. When it is [`SWEEP_ROWS_MAX`], more rows may be due.
    pub deleted: u64,
}

/// Deletes a batch of changes that are older than `retention`, and moves the horizon with them, in
/// `transaction`. `mark_every` is the resolution at which the age of changes is recorded. `None` when
/// another node is sweeping.
pub async fn sweep(
    transaction: Transaction,
    retention: Duration,
    mark_every: Duration,
) -> Result<Option<Swept>, Fault> {
    let db = transaction.db();
    if !try_lock_transaction(&db, &sweep_lock()).await? {
        transaction.rollback().await;
        return Ok(None);
    }
    let marked = sqlx::query(include_str!("sql/advance_horizon.sql"))
        .bind(retention.as_secs_f64())
        .bind(mark_every.as_secs_f64());
    marked.execute(&db).await?;
    let deleted = sqlx::query(include_str!("sql/delete_old_changes.sql"))
        .bind(i64::from(SWEEP_ROWS_MAX))
        .execute(&db)
        .await?;
    transaction.commit().await?;
    Ok(Some(Swept { deleted: deleted.rows_affected() }))
}

/// Captures new partitions, and returns whether any definition changed since the last call on any node, in
/// `transaction`. `None` when an event trigger of the database does both, or another node is sweeping.
pub async fn check_definitions(transaction: Transaction) -> Result<Option<bool>, Fault> {
    let db = transaction.db();
    let has_event_trigger: bool =
        sqlx::query_scalar(include_str!("sql/find_event_trigger.sql")).fetch_one(&db).await?;
    if has_event_trigger || !try_lock_transaction(&db, &sweep_lock()).await? {
        transaction.rollback().await;
        return Ok(None);
    }
    limit_lock_wait(&db).await?;
    sqlx::query(include_str!("sql/cover_partitions.sql")).execute(&db).await?;
    let reported = sqlx::query(include_str!("sql/compare_definitions.sql")).execute(&db).await?;
    transaction.commit().await?;
    Ok(Some(reported.rows_affected() > 0))
}

fn sweep_lock() -> LockKey {
    LockKey::forge("compaction")
}

/// A table and whether its changes are captured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CaptureStatus {
    pub(super) table: String,
    /// True when the table and all its partitions are captured.
    pub(super) whole: bool,
    /// True when the table or one of its partitions is captured.
    pub(super) partly: bool,
}

/// Lists the capture status of those of `tables` that exist.
pub(super) async fn list_captures(db: &Db, tables: &[&str]) -> Result<Vec<CaptureStatus>, Fault> {
    let rows: Vec<(String, bool, bool)> =
        sqlx::query_as(include_str!("sql/list_captures.sql")).bind(tables).fetch_all(db).await?;
    Ok(rows.into_iter().map(|(table, whole, partly)| CaptureStatus { table, whole, partly }).collect())
}

/// Switches the capture of one table on or off. The statement locks the table against writers, so it has a
/// transaction of its own.
pub(super) async fn set_capture(database: &Database, table: &str, on: bool) -> Result<(), Fault> {
    let transaction = database.begin(TransactionOptions::new("captures", CAPTURE_TIMEOUT)).await?;
    let db = transaction.db();
    limit_lock_wait(&db).await?;
    let sql =
        if on { include_str!("sql/enable_capture.sql") } else { include_str!("sql/disable_capture.sql") };
    sqlx::query(sql).bind(table).execute(&db).await?;
    transaction.commit().await?;
    Ok(())
}

async fn limit_lock_wait(db: &Db) -> Result<(), Fault> {
    sqlx::query("SELECT set_config('lock_timeout', $1, true)").bind(TABLE_LOCK_WAIT).execute(db).await?;
    Ok(())
}
