//! Paths of the actors of the database subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static DATABASE: ActorPath = NODE.child("database");
/// The embedded Postgres server.
pub static POSTGRES: ActorPath = DATABASE.child("postgres");
/// Pings the database.
pub static MONITOR: ActorPath = DATABASE.child("monitor");
/// Applies migrations once, at the start of the node.
pub static MIGRATOR: ActorPath = DATABASE.child("migrator");
