//! Paths of the actors of the function subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The supervisor. Handlers that panicked are in the journal below it.
pub static FUNCTIONS: ActorPath = NODE.child("functions");
/// Owns the calls that run.
pub static CALLS: ActorPath = FUNCTIONS.child("calls");
/// Deletes old idempotency keys.
pub static KEY_EXPIRY: ActorPath = FUNCTIONS.child("key_expiry");
