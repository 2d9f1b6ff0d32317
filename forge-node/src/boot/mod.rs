//! Starts a node from its configuration, and stops it.
//!
//! ```text
//!   catalog ─▶ secret ─▶ ports ─▶ pools, embedded Postgres ─▶ tree ─▶ drift ─▶ banner ─▶ wait
//!     tree:  waits for the database, applies the migrations, starts the other subsystems
//!     wait:  first signal: drain, stop in reverse order, exit 0
//!            second signal: exit 130 at once
//!            the tree gave up: exit 70 with path and cause
//! ```
//!
//! A step that fails returns a report, and the next one does not begin. Development mode differs only in
//! [`security`]: it listens on the loopback only, generates a secret, and prints a token in the banner.

pub mod banner;
pub mod drift;
pub mod log;
pub mod mesh;
pub mod node;
pub(crate) mod pages;
pub mod runtime;
pub mod secret;
pub mod security;
pub mod signal;
pub mod storage;
pub mod watchdog;
pub mod weak_secret;

#[cfg(test)]
mod tests;
