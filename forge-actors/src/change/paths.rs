//! Paths of the actors of the change subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static CHANGE: ActorPath = NODE.child("change");
/// Installs the triggers that capture changes.
pub static CAPTURES: ActorPath = CHANGE.child("captures");
/// Makes [`CAPTURES`] compare, at intervals.
pub static CAPTURE_CHECK: ActorPath = CHANGE.child("capture_check");
/// Deletes old changes.
pub static COMPACTOR: ActorPath = CHANGE.child("compactor");
