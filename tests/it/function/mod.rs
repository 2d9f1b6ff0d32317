//! The function subsystem on a real Postgres: what a call may leave behind, and what it may not.

mod dispatch;
mod handlers;
mod idempotency;
mod limits;
mod sqlstates;
mod stage;
mod transactions;
mod unique;
