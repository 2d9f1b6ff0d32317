//! The database room against a real Postgres.

pub mod cluster;
mod embedded;
mod lock;
mod migrate;
mod outage;
mod pool;
mod proxy;
mod schema;
mod transaction;
