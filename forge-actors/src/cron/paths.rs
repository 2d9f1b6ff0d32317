//! Paths of the actors of the cron subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static CRONS: ActorPath = NODE.child("crons");
/// Dispatches the runs.
pub static SCHEDULER: ActorPath = CRONS.child("scheduler");
/// Deletes old runs.
pub static RUN_EXPIRY: ActorPath = CRONS.child("run_expiry");
