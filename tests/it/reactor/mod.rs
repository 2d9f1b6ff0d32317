//! Live queries against a real Postgres: no change is missed, all results of a client are consistent, and no
//! client gets results of another caller.

#![allow(clippy::unwrap_used, reason = "whatever does not work fails the test, and the line says what")]

mod bounds;
mod consistency;
mod corpus;
mod faults;
mod identity;
mod queries;
mod rewrites;
mod sessions;
mod sharing;
mod stage;
