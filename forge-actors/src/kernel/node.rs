//! A node of the cluster, as its row in `forge_nodes` says.

use super::ids::NodeId;
use super::time::Timestamp;

/// Where a node is in its life (`forge_node_state` in Postgres).
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "forge_node_state", rename_all = "snake_case")]
pub enum NodeState {
    /// It starts.
    Joining,
    /// It works.
    Active,
    /// It stops: what runs may end, and nothing new comes in.
    Draining,
    /// It has ended, or was not seen for too long.
    Dead,
}

impl NodeState {
    /// Its name in Postgres and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Dead => "dead",
        }
    }
}

/// A node, as its row says.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct NodeInfo {
    /// Its id, new with every process.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: NodeState,
    /// What it does.
    pub roles: Vec<String>,
    /// Where it answers HTTP; `None` without a gateway.
    pub address: Option<String>,
    /// Where it takes connections of other nodes; `None` without a mesh.
    pub mesh_address: Option<String>,
    /// Version of Forge.
    pub version: String,
    /// Protocol of the mesh.
    pub protocol: i32,
    /// When its process started, by the database's clock, as all times here.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub seen_at: Timestamp,
    /// When it ended, or was declared dead.
    pub ended_at: Option<Timestamp>,
    /// It was declared dead by another node; one that stops in order says so itself.
    pub lost: bool,
}
