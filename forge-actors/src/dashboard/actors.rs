//! `forge.actors`: the supervision tree of the node that answers.

use crate::app::{QueryContext, Result};
use crate::kernel::ids::NodeId;
use crate::kernel::time::Timestamp;
use crate::supervise::ActorInfo;

/// One node's tree at one moment.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NodeActors {
    /// The node.
    pub node: NodeId,
    /// When it was read, by the node's clock.
    pub at: Timestamp,
    /// Parents before children.
    pub actors: Vec<ActorInfo>,
}

/// The supervision tree of the node that answers, parents before children.
#[forge_app_macros::query(name = "forge.actors", role = "admin", refresh = "1s")]
pub async fn actors(ctx: &QueryContext) -> Result<NodeActors> {
    let view = ctx.node();
    Ok(NodeActors { node: view.id, at: chrono::Utc::now(), actors: view.tree.snapshot() })
}
