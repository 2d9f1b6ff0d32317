//! The rows of the nodes. All times are the database's.

use std::time::Duration;

use crate::db::handle::Db;
use crate::kernel::envelope::PROTOCOL;
use crate::kernel::ids::NodeId;
use crate::kernel::node::{NodeInfo, NodeState};

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// What it does.
    pub roles: Vec<String>,
    /// Where it answers HTTP.
    pub address: Option<String>,
    /// Where it takes connections of other nodes.
    pub mesh_address: Option<String>,
}

/// Writes the row of a node, or brings it back to life.
pub async fn join(db: &Db, node: &Identity, state: NodeState) -> sqlx::Result<()> {
    sqlx::query(include_str!("sql/join_node.sql"))
        .bind(node.id)
        .bind(&node.name)
        .bind(state)
        .bind(&node.roles)
        .bind(&node.address)
        .bind(&node.mesh_address)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(i32::from(PROTOCOL))
        .execute(db)
        .await?;
    Ok(())
}

/// Says that a node lives; false when it was declared dead.
pub async fn beat(db: &Db, node: NodeId, state: NodeState) -> sqlx::Result<bool> {
    let beaten = sqlx::query(include_str!("sql/beat_node.sql")).bind(node).bind(state).execute(db).await?;
    Ok(beaten.rows_affected() > 0)
}

/// Declares the nodes dead that were not seen for `dead_after`, never `node` itself; answers who they are.
pub async fn lose(db: &Db, node: NodeId, dead_after: Duration) -> sqlx::Result<Vec<(NodeId, String)>> {
    sqlx::query_as(include_str!("sql/lose_nodes.sql"))
        .bind(node)
        .bind(dead_after.as_secs_f64())
        .fetch_all(db)
        .await
}

/// Every node, oldest first.
pub async fn list(db: &Db) -> sqlx::Result<Vec<NodeInfo>> {
    sqlx::query_as(include_str!("sql/list_nodes.sql")).fetch_all(db).await
}

/// Says that a node has stopped in order.
pub async fn leave(db: &Db, node: NodeId) -> sqlx::Result<()> {
    sqlx::query(include_str!("sql/leave_node.sql")).bind(node).execute(db).await?;
    Ok(())
}

/// Deletes the rows of nodes that have been dead for longer than `retention`.
pub async fn forget(db: &Db, retention: Duration) -> sqlx::Result<u64> {
    Ok(sqlx::query(include_str!("sql/forget_nodes.sql"))
        .bind(retention.as_secs_f64())
        .execute(db)
        .await?
        .rows_affected())
}
