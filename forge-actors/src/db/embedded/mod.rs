//! A private Postgres for a folder, so that a fresh clone runs with one command.
//!
//! ```text
//!   .forge/pg             the cluster                    .forge/nodes.lock     shared by every node that uses it
//!   .forge/run            its socket; no TCP             .forge/postgres.lock  held by the one node that looks after it
//!   .forge/postgres.log   what the server says           .forge/db.json        where the others find it
//!
//!   node:  Starting ──got postgres.lock──▶ Owner: starts the server, or adopts one that runs
//!              │                             ▲
//!              └──somebody else has it──▶ Follower: uses it; takes over when the owner is gone
//! ```
//!
//! Invariants:
//! - The server outlives the process that started it: it is its own session, so neither Ctrl-C nor `kill -9`
//!   of a node ends it, and the next node adopts it. Only the last node that stops in order stops it.
//! - `fsync` is on: what was acknowledged survives a crash here as in production. A lock file of Postgres is
//!   never deleted by us.
//! - The server never runs as root; started by root it runs as `postgres`, as the user of `sudo`, or as
//!   `nobody`.

pub mod actor;
pub mod binaries;
pub mod cluster;
pub mod error;
pub mod folder;
pub mod obtain;
pub mod server;
pub mod sharing;
pub mod user;

#[cfg(test)]
mod tests;
