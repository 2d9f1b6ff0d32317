//! The database room against a real Postgres.

mod cluster;
mod embedded;
mod lock;
mod migrate;
mod outage;
mod pool;
mod proxy;
mod schema;
mod transaction;
