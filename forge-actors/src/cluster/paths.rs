//! Paths of the actors of the cluster subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static CLUSTER: ActorPath = NODE.child("cluster");
/// Keeps this node's row, and the list of the others.
pub static REGISTRY: ActorPath = CLUSTER.child("registry");
/// Deletes the rows of nodes that died long ago.
pub static NODE_EXPIRY: ActorPath = CLUSTER.child("node_expiry");
/// The connections between nodes.
pub static MESH: ActorPath = CLUSTER.child("mesh");
/// The ractor_cluster node server.
pub static ENDPOINT: ActorPath = MESH.child("endpoint");
/// One actor for each connection.
pub static LINKS: ActorPath = MESH.child("links");
/// Accepts connections of other nodes.
pub static MESH_LISTENER: ActorPath = MESH.child("listener");
/// Connects to other nodes.
pub static DIALER: ActorPath = MESH.child("dialer");
