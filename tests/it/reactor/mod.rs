//! Live queries against a real Postgres: nothing is missed, nothing is torn, nobody gets what belongs to
//! somebody else.

#![allow(clippy::unwrap_used, reason = "whatever does not work fails the test, and the line says what")]

mod bounds;
mod consistency;
mod corpus;
mod faults;
mod identity;
mod queries;
mod sessions;
mod sharing;
mod stage;
