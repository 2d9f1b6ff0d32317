//! Paths of the actors of the leader subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static LEADER: ActorPath = NODE.child("leader");
/// Holds the locks and renews the terms.
pub static ELECTOR: ActorPath = LEADER.child("elector");
/// Deletes old terms.
pub static TERM_EXPIRY: ActorPath = LEADER.child("term_expiry");
