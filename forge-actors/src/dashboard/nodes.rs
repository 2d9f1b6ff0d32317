//! `forge.nodes`: the nodes of the cluster, and how this node's connections to them are.

use crate::app::node::PeerInfo;
use crate::app::{QueryContext, Result};
use crate::kernel::ids::NodeId;
use crate::kernel::node::NodeInfo;
use crate::kernel::time::Timestamp;

/// The cluster, as one of its nodes sees it.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct ClusterNodes {
    /// When, by the database's clock, as all times of `nodes`.
    pub at: Timestamp,
    /// The node that answers.
    pub node: NodeId,
    /// Oldest first; dead ones stay for an hour, unless they came back under their name.
    pub nodes: Vec<NodeInfo>,
    /// Its connections.
    pub peers: Vec<PeerInfo>,
}

/// The nodes of the cluster, oldest first, and the connections of the node that answers.
#[forge_app_macros::query(name = "forge.nodes", role = "admin", refresh = "1s")]
pub async fn nodes(ctx: &QueryContext) -> Result<ClusterNodes> {
    let at = sqlx::query_scalar(include_str!("sql/read_clock.sql")).fetch_one(ctx.db()).await?;
    let view = ctx.node();
    let nodes = view.registered_nodes(ctx.db()).await?;
    Ok(ClusterNodes {
        at,
        node: view.id,
        nodes,
        peers: view.peers().map(|peers| peers.list()).unwrap_or_default(),
    })
}
