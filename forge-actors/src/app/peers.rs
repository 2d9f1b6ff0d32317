//! The other nodes, as contexts see them: who is there, how the connections are, and a way to run a handler elsewhere.
//!
//! The cluster room implements [`Peers`]; the trait stands here so that contexts need not know that room.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::Invocation;
use crate::kernel::time::Timestamp;

/// Where a node is in its life (`forge_node_state` in Postgres).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "camelCase")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
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

/// How the connection to another node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkState {
    /// It is being made.
    Connecting,
    /// It works.
    Connected,
    /// There is none; it is tried again and again.
    Unreachable,
}

/// A connection to another node, as this node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerInfo {
    /// The other node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where its mesh listens.
    pub address: Option<String>,
    /// How the connection is.
    pub state: LinkState,
    /// Since when, by this node's clock.
    pub since: Timestamp,
    /// Milliseconds of the last round trip.
    pub rtt_ms: Option<f64>,
    /// Messages that wait to be sent.
    pub queue: usize,
    /// Hints that were dropped on this connection; each drop makes the other side look at everything.
    pub dropped: u64,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// The other nodes.
pub trait Peers: Send + Sync + 'static {
    /// The nodes that the registry knows, this one among them, as of its last look.
    fn nodes(&self) -> Vec<NodeInfo>;

    /// The connections of this node.
    fn peers(&self) -> Vec<PeerInfo>;

    /// Runs a handler on `node`, also one that is internal, and waits for at most `deadline`. The caller has judged the access.
    fn invoke(&self, node: NodeId, invocation: Invocation, deadline: Duration) -> BoxFuture<'static, Result<Bytes, Fault>>;
}
