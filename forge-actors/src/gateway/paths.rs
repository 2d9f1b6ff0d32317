//! Paths of the actors of the gateway subsystem. Child ids, notes and checks name these statics.

use crate::session::{DRAINER_ID, SUPERVISOR_ID};
use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static GATEWAY: ActorPath = NODE.child("gateway");
/// One actor for each WebSocket.
pub static SESSIONS: ActorPath = GATEWAY.child(SUPERVISOR_ID);
/// Sends clients away when the node stops.
pub static DRAINER: ActorPath = GATEWAY.child(DRAINER_ID);
/// Accepts connections.
pub static LISTENER: ActorPath = GATEWAY.child("listener");
