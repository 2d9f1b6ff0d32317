//! The statements of the elections, as verbs. What elects, renews and resigns runs on the session that holds
//! the lock: when such a statement succeeds, the lock was held.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::Row;

use super::leadership::Leadership;
use crate::db::election_session::ElectionSession;
use crate::db::handle::Db;
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::time::{Timestamp, minutes};

/// A leader writes down at this pace that it leads. Its other renewals only keep its session alive.
const WRITE_EVERY: Duration = minutes(1);

/// Terms that one statement deletes.
pub(super) const DELETE_MAX: u32 = 1_000;

/// Whether a leadership is led, at the moment when it is read. A leader that is killed is seen to be gone at
/// once, one that is frozen or cut off when its lease has expired.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaderState {
    /// The leader's session holds the lock, and was used within the lease.
    Leading,
    /// The leader was lost, or is cut off from the database, and no other node was elected yet.
    Expired,
    /// The leader stepped down, and no other node was elected yet.
    Resigned,
}

/// A leadership and who leads it.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderInfo {
    /// The leadership.
    pub name: String,
    /// The number of the present term, or of the last one.
    pub epoch: Int53,
    /// The node that leads, or led last.
    pub node_id: NodeId,
    /// The node's name.
    pub node_name: String,
    /// When the term began, by the database's clock, as all times here.
    pub elected_at: Timestamp,
    /// When the leader last renewed it. A leader that is alive does so every third of `leader.lease`. Of a
    /// leader that is gone only the last written renewal is known, up to a minute earlier.
    pub renewed_at: Timestamp,
    /// When the leader stepped down; `None` while it leads, and when it was lost.
    pub resigned_at: Option<Timestamp>,
    /// Whether the node still leads.
    pub state: LeaderState,
}

/// How a term ended (`forge_leader_end` in Postgres).
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaderEnd {
    /// The leader stepped down in order.
    Resigned,
    /// The leader's session ended; the next leader found the lock free.
    Lost,
}

/// A term that has ended.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTerm {
    /// The leadership.
    pub name: String,
    /// The term's number.
    pub epoch: Int53,
    /// The node that led.
    pub node_id: NodeId,
    /// The node's name.
    pub node_name: String,
    /// When the term began.
    pub elected_at: Timestamp,
    /// The last renewal that the leader has written: it writes one a minute.
    pub renewed_at: Timestamp,
    /// When the leader stepped down, or the next one was elected.
    pub ended_at: Timestamp,
    /// How it ended.
    pub reason: LeaderEnd,
}

/// What a renewal returned.
#[derive(Debug)]
pub(super) struct Renewal {
    /// The server process that ran the statement.
    pub(super) pid: i32,
    /// Names of the leaderships whose terms still last.
    pub(super) lasting: BTreeSet<String>,
}

/// Makes `node` the leader, with an epoch that no term had before. Call it with the lock of `leadership`
/// held.
///
/// # Errors
/// SQLSTATE 55P03 when a transaction of the last leader is still open.
pub async fn elect(
    session: &mut ElectionSession,
    leadership: Leadership,
    node: NodeId,
    node_name: &str,
) -> sqlx::Result<i64> {
    let elect = sqlx::query(include_str!("sql/elect_leader.sql"));
    let rows = session.fetch_all(elect.bind(leadership.name()).bind(node).bind(node_name)).await?;
    rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("epoch")
}

/// Renews `terms` of `node`, and keeps the session alive.
pub(super) async fn renew(
    session: &mut ElectionSession,
    terms: &[(Leadership, i64)],
    node: NodeId,
) -> sqlx::Result<Renewal> {
    let (names, epochs): (Vec<&str>, Vec<i64>) =
        terms.iter().map(|(leadership, epoch)| (leadership.name(), *epoch)).unzip();
    let renew = sqlx::query(include_str!("sql/renew_terms.sql"));
    let renew = renew.bind(names).bind(epochs).bind(node).bind(WRITE_EVERY.as_secs_f64());
    let rows = session.fetch_all(renew).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let lasting: Vec<String> = row.try_get("names")?;
    Ok(Renewal { pid: row.try_get("pid")?, lasting: lasting.into_iter().collect() })
}

/// Writes that a term was ended in order; nothing when it has ended already.
pub(super) async fn resign(
    session: &mut ElectionSession,
    leadership: Leadership,
    epoch: i64,
    node: NodeId,
) -> sqlx::Result<()> {
    let resign = sqlx::query(include_str!("sql/resign_leader.sql"));
    session.fetch_all(resign.bind(leadership.name()).bind(epoch).bind(node)).await.map(drop)
}

/// Locks the row of a term against the next election, until the end of the transaction that `db` belongs to;
/// false when the term is over. The transaction may idle for `idle_max` from now on.
pub async fn lock_term(
    db: &Db,
    leadership: Leadership,
    epoch: i64,
    node: NodeId,
    idle_max: Duration,
) -> Result<bool, crate::kernel::fault::Fault> {
    let lock = sqlx::query(include_str!("sql/lock_term.sql"))
        .bind(leadership.name())
        .bind(epoch)
        .bind(node)
        .bind(format!("{}ms", idle_max.as_millis()));
    Ok(lock.fetch_optional(db).await?.is_some())
}

/// Every leadership with its present or last leader. A term whose session was not used for `lease` has
/// expired.
pub async fn list_leaders(db: &Db, lease: Duration) -> sqlx::Result<Vec<LeaderInfo>> {
    sqlx::query_as(include_str!("sql/list_leaders.sql")).bind(lease.as_secs_f64()).fetch_all(db).await
}

/// The last `count_max` terms that ended, newest first.
pub async fn list_terms(db: &Db, count_max: u32) -> sqlx::Result<Vec<EndedTerm>> {
    sqlx::query_as(include_str!("sql/list_terms.sql")).bind(i64::from(count_max)).fetch_all(db).await
}

/// Deletes terms that ended longer than `retention` ago, at most [`DELETE_MAX`]. Returns their number.
pub(super) async fn delete_old_terms(db: &Db, retention: Duration) -> sqlx::Result<u64> {
    let delete = sqlx::query(include_str!("sql/delete_old_terms.sql"));
    let delete = delete.bind(retention.as_secs_f64()).bind(i64::from(DELETE_MAX));
    Ok(delete.execute(db).await?.rows_affected())
}
