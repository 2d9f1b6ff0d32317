//! The commands, one file each. A command returns `Ok(())` or a [`Report`](crate::terminal::report::Report).
//! Data goes to stdout, everything else to stderr.

pub mod actors;
mod bulk;
pub mod call;
pub mod client;
pub mod cluster;
pub mod completions;
pub mod cron;
pub mod dashboard;
pub mod delegate;
pub mod doctor;
pub mod functions;
pub mod generate;
mod job_bulk;
pub mod jobs;
mod live_list;
pub mod migrate;
pub mod new;
mod run_name;
pub mod schema;
pub mod start;
mod workflow_bulk;
mod workflow_check;
mod workflow_history;
mod workflow_list;
mod workflow_show;
mod workflow_start;
mod workflow_wait;
pub mod workflows;

#[cfg(test)]
mod tests;
