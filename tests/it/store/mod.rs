//! The database room against a real Postgres.

pub mod cluster;
mod lock;
mod migrate;
mod pool;
mod transaction;
