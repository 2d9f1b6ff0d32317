//! `forge.restartActor`, `forge.stopActor`: what an administrator does to an actor of any node.
//!
//! The command is written to the audit, then carried out by the actor's own supervisor, on its own node. A
//! stop that takes longer than `SUPERVISOR_MAX` goes on without its caller. An actor that carries commands
//! (its subsystem's notes say which) is restarted a moment after the answer was sent, since it would wait for
//! this very command, or cut off its answer: see `deferred`.

use std::time::Duration;

use crate::app::node::{DeferredCommand, NodeView};
use crate::app::{ActionContext, Result};
use crate::dashboard::audit::audited;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::Invocation;
use crate::subsystem::{CommandRoute, SubsystemEntry};
use crate::supervise::{ActorCallError, ChildError, ControlError};

/// How long a caller waits for the actor's supervisor.
const SUPERVISOR_MAX: Duration = Duration::from_secs(3);
/// How long a caller waits for another node.
const PEER_MAX: Duration = Duration::from_secs(5);

/// Stops an actor and starts it again.
#[forge_app_macros::action(name = "forge.restartActor", role = "admin", timeout = "15s")]
pub async fn restart_actor(ctx: &ActionContext, node: NodeId, path: String) -> Result<()> {
    audited(ctx, "restartActor", Some(node), &path, send(ctx, node, &path, false)).await
}

/// Stops an actor that its node goes on without: a session, a connection to another node, what runs jobs. A
/// child of a fixed supervisor stays stopped until it is restarted by a command or with its node. Every other
/// actor can only be restarted.
#[forge_app_macros::action(name = "forge.stopActor", role = "admin", timeout = "15s")]
pub async fn stop_actor(ctx: &ActionContext, node: NodeId, path: String) -> Result<()> {
    audited(ctx, "stopActor", Some(node), &path, send(ctx, node, &path, true)).await
}

/// Carries out a command that another node was asked for.
#[forge_app_macros::action(name = "forge.controlActor", internal, timeout = "15s")]
pub async fn control_actor(ctx: &ActionContext, path: String, stop: bool) -> Result<()> {
    here(ctx, &path, stop, CommandOrigin::Peer).await
}

async fn send(ctx: &ActionContext, node: NodeId, path: &str, stop: bool) -> Result<()> {
    let view = ctx.node();
    if node == view.id {
        return here(ctx, path, stop, CommandOrigin::Here).await;
    }
    let peers = view.peers().ok_or_else(|| unknown_node(node))?;
    let args = serde_json::json!(ControlActor { path: path.to_owned(), stop });
    let mut invocation =
        Invocation::new("forge.controlActor", args.to_string(), ctx.request().caller().clone());
    invocation.trace = ctx.request().trace().child();
    peers.invoke(node, invocation, PEER_MAX).await.map(drop)
}

/// Where a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommandOrigin {
    /// A call to this node.
    Here,
    /// Another node.
    Peer,
}

/// Carries out a command on this node: now, or after its answer was sent.
async fn here(ctx: &ActionContext, path: &str, stop: bool, origin: CommandOrigin) -> Result<()> {
    let view = ctx.node();
    if !is_routed_through(view, path, stop, origin) || view.tree.get(path).is_none() {
        return carry_out(view, path, stop).await;
    }
    check_allowed(view, path, stop)?;
    if view.deferred.add(DeferredCommand { path: path.to_owned(), stop }) {
        return Ok(());
    }
    Err(Fault::new(Code::Overloaded, "too many commands wait to be carried out"))
}

/// True when the command's own answer travels through the actor at `path`.
fn is_routed_through(view: &NodeView, path: &str, stop: bool, origin: CommandOrigin) -> bool {
    let from_peer = origin == CommandOrigin::Peer;
    view.subsystems.iter().flat_map(SubsystemEntry::actors).any(|note| match note.route {
        CommandRoute::None => false,
        CommandRoute::All => note.path.is(path),
        // One of the connections below it may be the one that the command came by.
        CommandRoute::FromPeers => from_peer && (note.path.is(path) || (stop && note.allows_stop(path))),
    })
}

fn check_allowed(view: &NodeView, path: &str, stop: bool) -> Result<()> {
    let allowed =
        || view.subsystems.iter().flat_map(SubsystemEntry::actors).any(|note| note.allows_stop(path));
    if stop && !allowed() {
        let message =
            format!("the node cannot do without `{path}`, so it is not stopped; it can be restarted");
        return Err(Fault::new(Code::Conflict, message));
    }
    Ok(())
}

/// Asks the actor's supervisor.
pub(super) async fn carry_out(view: &NodeView, path: &str, stop: bool) -> Result<()> {
    check_allowed(view, path, stop)?;
    let tree = &view.tree;
    let done = if stop {
        tree.stop_actor(path, SUPERVISOR_MAX).await
    } else {
        tree.restart_actor(path, SUPERVISOR_MAX).await
    };
    match done {
        Ok(()) | Err(ControlError::Child(ChildError::Call(ActorCallError::TimedOut { .. }))) => Ok(()),
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
    Fault::new(Code::NotFound, format!("this node has no connection to the node {node}"))
}
