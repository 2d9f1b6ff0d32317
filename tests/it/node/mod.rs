//! Nodes as processes: the real binaries, from outside, through HTTP, SQL and signals only.
//!
//! `forge-node` with its demo is the first that a new user runs; the faults need handlers that misbehave on
//! demand, which the `probe` application has.

mod answers;
mod assets;
mod batches;
mod blocked;
mod browser;
mod captures;
mod clocks;
mod cluster_script;
mod commands;
mod control;
mod crons;
mod dead_sessions;
mod disconnects;
mod drift;
mod embedded;
mod floods;
mod generate;
mod job_buffer;
mod job_families;
mod job_operations;
mod job_results;
mod jobs;
mod leader;
mod limits;
mod links;
mod mesh;
mod namespaces;
mod no_standby;
mod outage;
mod overview;
mod panics;
mod peers;
mod poison;
mod previous;
mod queue_settings;
mod queue_shares;
mod quickstart;
mod read_only;
mod refusals;
mod scaffold;
mod session_ends;
mod session_floods;
mod sessions;
mod shutdown;
mod slow_clients;
mod stage;
mod starved;
mod strangers;
mod surrender;
mod terminal;
mod timeouts;
mod traces;
mod tree;
