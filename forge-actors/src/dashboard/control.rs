//! `forge.restartActor`, `forge.stopActor`: what an administrator does to an actor of any node.
//!
//! The action is written to the audit, then carried out by the actor's own supervisor, on its own node. A
//! stop that takes longer than `PATIENCE` goes on without the caller. What orders and their answers travel by
//! is restarted a moment after the answer (see [`steward`](super::steward)): it would wait for this very
//! call, or cut it off.

use std::time::Duration;

use crate::app::node::DeferredOrder;
use crate::app::{ActionContext, Result};
use crate::dashboard::audit::audited;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::Invocation;
use crate::supervise::{CallError, ChildError, ControlError, Tree};

/// How long a caller waits for the actor's supervisor.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it waits for another node.
const REMOTE_PATIENCE: Duration = Duration::from_secs(5);

/// Stops an actor and starts it again.
#[forge_app_macros::action(name = "forge.restartActor", role = "admin", timeout = "15s")]
pub async fn restart_actor(ctx: &ActionContext, node: NodeId, path: String) -> Result<()> {
    audited(ctx, "restartActor", Some(node), &path, order(ctx, node, &path, false)).await
}

/// Stops an actor that its node can do without: a session, a link, what runs jobs. One that a fixed
/// supervisor started stays stopped until somebody restarts it, or its node starts again. Any other can only
/// be restarted.
#[forge_app_macros::action(name = "forge.stopActor", role = "admin", timeout = "15s")]
pub async fn stop_actor(ctx: &ActionContext, node: NodeId, path: String) -> Result<()> {
    audited(ctx, "stopActor", Some(node), &path, order(ctx, node, &path, true)).await
}

/// Carries out on this node what another one was asked for.
#[forge_app_macros::action(name = "forge.controlActor", internal, timeout = "15s")]
pub async fn control_actor(ctx: &ActionContext, path: String, stop: bool) -> Result<()> {
    here(ctx, &path, stop, Origin::Peer).await
}

async fn order(ctx: &ActionContext, node: NodeId, path: &str, stop: bool) -> Result<()> {
    let view = ctx.node();
    if node == view.id {
        return here(ctx, path, stop, Origin::Here).await;
    }
    let peers = view.peers().ok_or_else(|| unknown_node(node))?;
    let args = serde_json::json!(ControlActor { path: path.to_owned(), stop });
    let mut invocation =
        Invocation::new("forge.controlActor", args.to_string(), ctx.request().caller().clone());
    invocation.trace = ctx.request().trace().child();
    peers.invoke(node, invocation, REMOTE_PATIENCE).await.map(drop)
}

/// What a node goes on without. The rest is what orders travel by, or what nobody would miss until it is too
/// late.
const EXPENDABLE: &[&str] = &[
    "node/jobs",
    "node/gateway/sessions/",
    "node/cluster/mesh/links/",
    "node/change/compactor",
    "node/telemetry/crashes",
];

/// What every order runs in, or is answered by: to drain they wait for it.
const WAYS: &[&str] = &["node/functions", "node/gateway", "node/gateway/listener"];
/// What orders of other nodes come by.
const WAYS_OF_PEERS: &[&str] =
    &["node/cluster", "node/cluster/mesh", "node/cluster/mesh/endpoint", "node/cluster/mesh/links"];
/// Below it are the links; each is stopped, never restarted.
const LINKS: &str = "node/cluster/mesh/links/";

/// Where an order came from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// A call to this node.
    Here,
    /// Another node.
    Peer,
}

/// Carries it out on this node: now, or when the answer has left.
async fn here(ctx: &ActionContext, path: &str, stop: bool, origin: Origin) -> Result<()> {
    let view = ctx.node();
    let is_way = match origin {
        Origin::Here => false,
        Origin::Peer => WAYS_OF_PEERS.contains(&path) || (stop && path.starts_with(LINKS)),
    };
    if !(is_way || WAYS.contains(&path)) || view.tree.get(path).is_none() {
        return carry_out(&view.tree, path, stop).await;
    }
    allow(path, stop)?;
    if view.deferred.leave(DeferredOrder { path: path.to_owned(), stop }) {
        return Ok(());
    }
    Err(Fault::new(Code::Overloaded, "too many orders wait to be carried out"))
}

fn allow(path: &str, stop: bool) -> Result<()> {
    if stop && !EXPENDABLE.iter().any(|start| path.starts_with(start)) {
        let message =
            format!("the node cannot do without `{path}`, so it is not stopped; it can be restarted");
        return Err(Fault::new(Code::Conflict, message));
    }
    Ok(())
}

/// Asks the actor's supervisor.
pub(super) async fn carry_out(tree: &Tree, path: &str, stop: bool) -> Result<()> {
    allow(path, stop)?;
    let done =
        if stop { tree.stop_actor(path, PATIENCE).await } else { tree.restart_actor(path, PATIENCE).await };
    match done {
        Ok(()) | Err(ControlError::Child(ChildError::Call(CallError::TimedOut { .. }))) => Ok(()),
        Err(error @ (ControlError::Unknown { .. } | ControlError::Child(ChildError::Unknown { .. }))) => {
            Err(Fault::new(Code::NotFound, error.to_string()))
        }
        Err(error @ (ControlError::Root { .. } | ControlError::Child(ChildError::Temporary { .. }))) => {
            Err(Fault::new(Code::Conflict, error.to_string()))
        }
        Err(ControlError::Child(error)) => Err(Fault::new(Code::Unavailable, error.to_string())),
    }
}

fn unknown_node(node: NodeId) -> Fault {
    Fault::new(Code::NotFound, format!("this node has no link to the node {node}"))
}
