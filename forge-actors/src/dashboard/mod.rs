//! What a node tells about itself, as ordinary handlers: the command line and the dashboard are their
//! callers.
//!
//! ```text
//!   forge.tree · forge.actor · forge.overview ──▶ NodeView (this node, now) + ReportBoard (the peers, as collected)
//!                                                        ▲
//!   collector (an actor) ── mesh ──▶ forge.report on every peer, while somebody looks
//! ```
//!
//! All of them need the role `admin`, or are internal. A query never waits for another node: it runs inside
//! the reactor's tick, so the collector asks the peers and the queries read what it put up. Whatever changes
//! a running node is written to `forge_audit` first.

pub mod actor;
pub mod actors;
pub mod audit;
pub mod collector;
pub mod control;
pub mod crashes;
pub mod jobs;
pub mod nodes;
pub mod overview;
pub mod report;
pub mod sign_in;
pub mod steward;
pub mod tree;
pub mod window;

#[cfg(test)]
mod tests;
