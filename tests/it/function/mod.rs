//! The function room on a real Postgres: what a call may leave behind, and what it may not.

mod handlers;
mod limits;
mod room;
mod transactions;
