//! A node of the cluster, as its row in `forge_nodes` describes it.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::ids::NodeId;
use super::time::Timestamp;

/// State of a node (`forge_node_state` in Postgres).
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// The node starts.
    Joining,
    /// The node serves.
    Active,
    /// The node stops: running work may end, and no new work is taken.
    Draining,
    /// The node has ended, or sent no heartbeat for too long.
    Dead,
}

impl NodeState {
    /// The state's name in Postgres, JSON and texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Dead => "dead",
        }
    }
}

/// The application that a node serves, and where it runs.
#[forge_app_macros::data]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplicationInfo {
    /// Name of the application; of several the names with commas between them.
    pub name: String,
    /// Version of the application's crate.
    pub version: String,
    /// What the node runs for: `development`, `production`, or what `node.environment` says.
    pub environment: String,
}

/// A row of `forge_nodes`.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node's id, new with every process.
    pub id: NodeId,
    /// The node's name.
    pub name: String,
    /// The node's state.
    pub state: NodeState,
    /// The node's roles, for example `worker`.
    pub roles: Vec<String>,
    /// Address of the node's HTTP gateway; `None` without a gateway.
    pub address: Option<String>,
    /// Address at which the node takes connections of other nodes; `None` without a mesh.
    pub mesh_address: Option<String>,
    /// The node's version of Forge.
    pub version: String,
    /// The node's version of the mesh protocol.
    pub protocol: i32,
    /// When the node's process started. All times are by the database's clock.
    pub started_at: Timestamp,
    /// Time of the last heartbeat.
    pub seen_at: Timestamp,
    /// When the node ended or was declared dead.
    pub ended_at: Option<Timestamp>,
    /// Whether another node declared this node dead. A node that stops in order marks its own row.
    pub lost: bool,
}

/// A node that runs jobs. A version that does not say what it has leaves all of it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The node's id.
    pub id: NodeId,
    /// The node's name.
    pub name: String,
    /// Names of the jobs that it has handlers for.
    pub job_names: Option<Vec<String>>,
    /// What it can do that not every node can.
    pub capabilities: Option<Vec<String>>,
    /// What jobs may take of it at a time, by word.
    pub resources: Option<BTreeMap<String, i64>>,
}

impl FromRow<'_, PgRow> for WorkerInfo {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let resources: Option<serde_json::Value> = row.try_get("resources")?;
        let amounts = |value: serde_json::Value| {
            let amounts = value.as_object().into_iter().flatten();
            amounts.map(|(word, amount)| (word.to_owned(), amount.as_i64().unwrap_or(i64::MAX))).collect()
        };
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            job_names: row.try_get("job_names")?,
            capabilities: row.try_get("capabilities")?,
            resources: resources.map(amounts),
        })
    }
}
