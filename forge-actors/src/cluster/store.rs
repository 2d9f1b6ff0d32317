//! The rows of `forge_nodes`. All times are the database's.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{FromRow, Row};

use crate::db::clock::ClockDifference;
use crate::db::handle::Db;
use crate::kernel::envelope::PROTOCOL;
use crate::kernel::ids::NodeId;
use crate::kernel::node::{NodeInfo, NodeState, WorkerInfo};
use crate::kernel::resource::ResourceAmounts;

/// Nodes that ended, in one answer. A node that crashes at every start leaves many.
const ENDED_MAX: i64 = 20;

/// What a node writes into its own row.
#[derive(Debug, Clone)]
pub struct NodeIdentity {
    /// Names the process; new at every start.
    pub id: NodeId,
    /// The configured name, which several nodes may share.
    pub name: String,
    /// The roles of the node, such as `gateway` and `worker`.
    pub roles: Vec<String>,
    /// What it can do that not every node can: jobs name it.
    pub capabilities: Vec<String>,
    /// What jobs may take of it at a time.
    pub resources: ResourceAmounts,
    /// Address of its HTTP listener; `None` without a gateway.
    pub address: Option<String>,
    /// Address of its mesh listener; `None` without a mesh.
    pub mesh_address: Option<String>,
    /// The build of its binary.
    pub build: Option<Arc<str>>,
    /// Names of the jobs that its binary has handlers for.
    pub job_names: Vec<String>,
}

/// Writes the row of a node, or brings a row back to life that another node declared dead.
pub async fn join(db: &Db, node: &NodeIdentity, state: NodeState) -> sqlx::Result<()> {
    let resources = node.resources.iter().map(|(word, amount)| (word.to_owned(), amount.into()));
    sqlx::query(include_str!("sql/join_node.sql"))
        .bind(node.id)
        .bind(&node.name)
        .bind(state)
        .bind(&node.roles)
        .bind(&node.address)
        .bind(&node.mesh_address)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(i32::from(PROTOCOL))
        .bind(node.build.as_deref())
        .bind(&node.capabilities)
        .bind(&node.job_names)
        .bind(serde_json::Value::Object(resources.collect()))
        .execute(db)
        .await?;
    Ok(())
}

/// Writes the heartbeat of a node, with how its clock differs from the database's. Returns the nodes as
/// [`list`] does; `None` when the node was declared dead.
pub async fn beat(
    db: &Db,
    node: NodeId,
    state: NodeState,
    clock: Option<ClockDifference>,
) -> sqlx::Result<Option<Vec<NodeInfo>>> {
    let beating = sqlx::query(include_str!("sql/beat_node.sql"));
    let offset_ms = clock.map(|difference| difference.offset_ms);
    let rows = beating.bind(node).bind(state).bind(offset_ms).fetch_all(db).await?;
    let mut is_written = false;
    for row in &rows {
        is_written |= row.try_get::<bool, _>("is_written")?;
    }
    let nodes = is_written.then(|| rows.iter().map(NodeInfo::from_row).collect());
    nodes.transpose()
}

/// True when the clock of an active node other than `node` differs from the database's by `tolerance` at
/// most.
pub async fn another_agrees(db: &Db, node: NodeId, tolerance: Duration) -> sqlx::Result<bool> {
    let tolerance_ms = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
    let asking = sqlx::query_scalar(include_str!("sql/find_agreeing_clock.sql"));
    asking.bind(node).bind(tolerance_ms).fetch_one(db).await
}

/// Declares every node dead that has sent no heartbeat for `dead_after`, except `node` itself. Returns their
/// ids and names.
pub async fn declare_dead(
    db: &Db,
    node: NodeId,
    dead_after: Duration,
) -> sqlx::Result<Vec<(NodeId, String)>> {
    sqlx::query_as(include_str!("sql/declare_nodes_dead.sql"))
        .bind(node)
        .bind(dead_after.as_secs_f64())
        .fetch_all(db)
        .await
}

/// Reads the nodes that run, and those that ended within the last hour and did not come back under their
/// name; oldest first.
pub async fn list(db: &Db) -> sqlx::Result<Vec<NodeInfo>> {
    sqlx::query_as(include_str!("sql/list_nodes.sql")).fetch_all(db).await
}

/// Reads the builds of the nodes that have `role` and are not dead; `None` for nodes that wrote none.
pub async fn builds(db: &Db, role: &str) -> sqlx::Result<Vec<Option<String>>> {
    sqlx::query_scalar(include_str!("sql/list_builds.sql")).bind(role).fetch_all(db).await
}

/// True when every node that has `role` and is not dead rescues batch leases.
pub async fn rescue_batches(db: &Db, role: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar(include_str!("sql/do_nodes_rescue_batches.sql")).bind(role).fetch_one(db).await
}

/// Reads the nodes that have `role` and run, by name.
pub async fn list_workers(db: &Db, role: &str) -> sqlx::Result<Vec<WorkerInfo>> {
    sqlx::query_as(include_str!("sql/list_workers.sql")).bind(role).fetch_all(db).await
}

/// Reads the nodes that ended last, within the last hour; newest first.
pub async fn list_ended(db: &Db) -> sqlx::Result<Vec<NodeInfo>> {
    sqlx::query_as(include_str!("sql/list_ended_nodes.sql")).bind(ENDED_MAX).fetch_all(db).await
}

/// Marks the row of a node that stops in order as dead.
pub async fn leave(db: &Db, node: NodeId) -> sqlx::Result<()> {
    sqlx::query(include_str!("sql/leave_node.sql")).bind(node).execute(db).await?;
    Ok(())
}

/// Deletes the rows of nodes that have been dead for longer than `retention`. Returns their number.
pub async fn forget(db: &Db, retention: Duration) -> sqlx::Result<u64> {
    let deleted =
        sqlx::query(include_str!("sql/forget_nodes.sql")).bind(retention.as_secs_f64()).execute(db).await?;
    Ok(deleted.rows_affected())
}
