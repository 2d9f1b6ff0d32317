//! Paths of the actors of the workflow subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static WORKFLOWS: ActorPath = NODE.child("workflows");
/// Writes runs that calls without a transaction start at the same time; on every node.
pub static WORKFLOW_STARTER: ActorPath = NODE.child("workflow_starter");
/// Writes steps.
pub static RECORDER: ActorPath = WORKFLOWS.child("recorder");
/// Writes how runs leave this node.
pub static LEAVER: ActorPath = WORKFLOWS.child("leaver");
/// Writes how runs end.
pub static ENDER: ActorPath = WORKFLOWS.child("ender");
/// An actor for each run that is active.
pub static INSTANCES: ActorPath = WORKFLOWS.child("instances");
/// Holds the lease of this node.
pub static LEASE: ActorPath = WORKFLOWS.child("lease");
/// Claims runs that are due.
pub static CLAIMER: ActorPath = WORKFLOWS.child("claimer");
/// Wakes runs for which events have come.
pub static ROUTER: ActorPath = WORKFLOWS.child("router");
/// Takes over the runs of lost nodes.
pub static RESCUER: ActorPath = WORKFLOWS.child("rescuer");
/// Counts runs for metrics.
pub static COUNTER: ActorPath = WORKFLOWS.child("run_counter");
/// Deletes old runs, events and attempts.
pub static EXPIRY: ActorPath = WORKFLOWS.child("run_expiry");
