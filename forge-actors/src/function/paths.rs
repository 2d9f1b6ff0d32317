//! Paths of the actors of the function subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem, which is one actor.
pub static FUNCTIONS: ActorPath = NODE.child("functions");
