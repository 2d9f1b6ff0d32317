//! An embedded Postgres for a folder, so that a fresh clone runs with one command.
//!
//! ```text
//!   .forge/pg             the cluster
//!   .forge/run            its socket; no TCP
//!   .forge/postgres.log   the server's log
//!   .forge/postgres.lock  held by the one node that owns the server
//!   .forge/nodes.lock     shared by every node that uses the server
//!   .forge/watchdog.lock  held by the watchdog that waits for the last node to be gone
//!   .forge/db.json        where other processes find the server
//!
//!   node:  Starting ──got postgres.lock──▶ Owner: starts the server, or adopts one that runs
//!              │                             ▲
//!              └──another node has it──▶ Follower: uses the server; becomes the owner when the owner is gone
//! ```
//!
//! Invariants:
//! - The server outlives the process that started it. It has a process group of its own, so neither Ctrl-C
//!   nor `kill -9` of a node ends it, and the next node adopts it. The last node that stops in order stops
//!   the server; after a last node that was killed, or ended by a second signal, its watchdog does
//!   (`watchdog.rs`).
//! - Only their owner may read the files, and the server's log holds no values of the application.
//! - `fsync` is on: an acknowledged write survives a crash here as in production. Forge deletes a lock file
//!   of Postgres only when the process that the file names is another program, no process works in the
//!   cluster, and no server answers at its socket.
//! - A process is adopted, or sent a signal, only when it is the server of this cluster.
//! - The server never runs as root; started by root it runs as `postgres`, as the user of `sudo`, or as
//!   `nobody`.

pub mod actor;
pub mod binaries;
mod cluster;
pub mod error;
pub mod folder;
mod obtain;
mod process;
pub mod progress;
pub mod server;
mod sharing;
pub mod user;
pub mod watchdog;

#[cfg(test)]
mod tests;
