//! Paths of the actors of the telemetry subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static TELEMETRY: ActorPath = NODE.child("telemetry");
/// Writes crashes to their table.
pub static CRASHES: ActorPath = TELEMETRY.child("crashes");
/// Deletes old crashes.
pub static CRASH_EXPIRY: ActorPath = TELEMETRY.child("crash_expiry");
/// Folds recorded metrics.
pub static METRICS: ActorPath = TELEMETRY.child("metrics");
