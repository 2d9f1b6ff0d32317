//! The database room against a real Postgres.

mod cluster;
mod lock;
mod migrate;
mod pool;
mod transaction;
