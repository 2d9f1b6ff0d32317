//! Paths of the actors of the dashboard subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static DASHBOARD: ActorPath = NODE.child("dashboard");
/// Asks the other nodes for their reports.
pub static COLLECTOR: ActorPath = DASHBOARD.child("collector");
/// Carries out commands after their answer was sent.
pub static RESTARTER: ActorPath = DASHBOARD.child("restarter");
