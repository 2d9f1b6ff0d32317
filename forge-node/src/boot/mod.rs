//! From a configuration to a running node, and back.
//!
//! ```text
//!   catalog ─▶ secret ─▶ port ─▶ database ─▶ migrations ─▶ tree ─▶ drift ─▶ banner ─▶ wait
//!                                                                                     │ first signal: drain, stop in reverse order, exit 0
//!                                                                                     │ second signal: exit 130 at once
//!                                                                                     └ the tree gave up: exit 70 with path and cause
//! ```
//!
//! Each step refuses with a typed report before the next one begins. Development mode differs in one place,
//! [`security`]: loopback only, a generated secret, a token in the banner.

pub mod banner;
pub mod drift;
pub mod log;
pub mod mesh;
pub mod node;
pub(crate) mod pages;
pub mod secret;
pub mod security;
pub mod signal;
pub mod storage;

#[cfg(test)]
mod tests;
