//! The state of the cluster as ordinary handlers; the command line and the dashboard page call them.
//!
//! ```text
//!   forge.tree · forge.actor · forge.overview ──▶ NodeView (this node, now)
//!                                              └─▶ NodeReportCache (the other nodes, a moment ago)
//!                                                        ▲
//!   collector (an actor) ── mesh ──▶ forge.report on every peer, while a dashboard is open
//! ```
//!
//! All of them need the role `admin`, or are internal, but for those about jobs that the caller has
//! dispatched (`job_status.rs`) and runs that the caller has started (`workflow_status.rs`). A query never
//! waits for another node: it runs inside the reactor's tick, so the collector asks the peers and the queries
//! read its cache. A command that changes a running node is written to `forge_audit` first.

pub mod actor;
pub mod actors;
pub mod audit;
pub mod bulk;
mod collector;
pub mod control;
pub mod crashes;
pub mod crons;
mod deferred;
pub mod job_status;
pub mod jobs;
pub mod leaders;
pub mod nodes;
pub mod overview;
pub mod paths;
pub mod queues;
pub mod report;
pub mod sign_in;
pub mod subsystem;
pub mod tree;
pub mod window;
pub mod workflow_bulk;
pub mod workflow_commands;
pub mod workflow_find;
pub mod workflow_start;
pub mod workflow_status;
pub mod workflows;

#[cfg(test)]
mod tests;
