//! The subsystems' statements against a real Postgres.

#![allow(clippy::unwrap_used, reason = "whatever does not work fails the test, and the line says what")]

mod change;
pub(crate) mod cluster;
mod cron;
mod embedded;
mod errors;
mod expiry;
mod job;
mod job_actions;
mod job_admin;
mod job_ageing;
mod job_batches;
mod job_dependencies;
mod job_history;
mod job_plans;
mod job_why;
mod leader;
mod live_snapshot;
mod lock;
mod migrate;
mod nodes;
mod outage;
mod pool;
mod proxy;
mod queue_settings;
mod read_only;
mod schema;
mod sqlstates;
mod transaction;
mod workflow_admin;
mod workflow_follow;
mod workflow_leases;
