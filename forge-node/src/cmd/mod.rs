//! The verbs, one file each. A verb answers `Ok(())` or a [`Report`](report::Report); data goes to stdout,
//! everything else to stderr.

pub mod actors;
pub mod call;
pub mod client;
pub mod cluster;
pub mod completions;
pub mod dashboard;
pub mod delegate;
pub mod doctor;
pub mod generate;
pub mod jobs;
pub mod migrate;
pub mod new;
pub mod output;
pub mod report;
pub mod room;
pub mod scene;
pub mod schema;
pub mod start;

#[cfg(test)]
mod tests;
