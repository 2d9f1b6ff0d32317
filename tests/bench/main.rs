//! Benchmarks as ratios, measured in one run on one machine: `just bench [all | actor | rpc | panic |
//! recovery | tax | fanout | live | jobs | drain | enqueue | idle | limits | workflows | storm | churn |
//! pages | attacks | slow-clients]`.
//!
//! Absolute figures of a shared machine mean little, so each figure is compared with its opposite in the same
//! run, in alternating rounds, and printed beside its goal. The exit code is 1 when a goal is missed; no test
//! asserts a duration.

mod actor;
mod attack;
mod bare;
mod churn;
mod drain;
mod enqueue;
mod failing;
mod fanout;
mod goal;
mod idle;
mod jobs;
mod limits;
mod live;
mod pages;
mod panics;
mod queue;
mod readers;
mod recovery;
mod rpc;
mod slow_clients;
mod stage;
mod storm;
mod tax;
mod throttled;
mod workflows;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Forge's benchmarks.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    which: Option<Which>,
}

#[derive(Subcommand, Clone)]
enum Which {
    /// Every benchmark but `storm`, `churn`, `pages`, `attacks` and `slow-clients`, which take long.
    All,
    /// A call to a supervised actor, against a call to a plain one.
    Actor,
    /// An authenticated one-row query through a node, against a bare axum and sqlx handler.
    Rpc,
    /// Latency of other requests while handlers panic, and what the panics leave in memory.
    Panic,
    /// How long after the database is back a node is ready.
    Recovery,
    /// Updates with the capture of changes, against updates without.
    Tax,
    /// From a change on one node to a client on another, with the mesh and without; and torn views.
    Live,
    /// One changing row to 1,000 WebSockets, against a bare axum broadcast of the same frame.
    Fanout,
    /// Jobs that do nothing, dispatched and run; and how soon a lone one starts.
    Jobs,
    /// Jobs that do nothing, drained, against bare loops over a table.
    Drain,
    /// Dispatches, against commits and inserts of bare rows.
    Enqueue,
    /// What a node costs while nobody uses it.
    Idle,
    /// Jobs with a limit, against jobs without; and others' latency beside those that it blocks.
    Limits,
    /// Runs of workflows that do nothing, against commits of one row; and what sleeping ones cost.
    Workflows,
    /// Jobs on three nodes of which one is killed every five seconds.
    Storm {
        /// Jobs.
        #[arg(long, default_value_t = 20_000)]
        jobs: u32,
        /// How long nodes are killed.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Jobs that come and go by the million, and beside an old snapshot: tables, dead rows and claims in the
    /// end, against those in the beginning.
    Churn {
        /// Jobs that are drained; 0 leaves this part out.
        #[arg(long, default_value_t = 10_000_000)]
        jobs: u64,
        /// How long an old snapshot is held; 0 leaves this part out.
        #[arg(long, default_value_t = 600)]
        pinned_seconds: u64,
        /// Jobs a second that are dispatched beside the old snapshot.
        #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
    },
    /// What the dashboard and the command line read of jobs, on millions of rows; and other clients' latency
    /// beside the dashboard.
    Pages {
        /// Rows: two fifths of them wait, the others are finished.
        #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(100_000..))]
        rows: u64,
    },
    /// Latency of other clients during attacks, against their latency before; and what the attacks take of
    /// the node's memory.
    Attacks {
        /// How long each of them lasts, in rounds that alternate with quiet ones.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Which of them; without one, all.
        which: Vec<attack::Attack>,
    },
    /// Results of live queries on slow lines: each arrives once, on one connection.
    SlowClients,
    /// Attackers, as a process of their own: they go on until it is killed.
    #[command(hide = true)]
    Attack {
        /// What they do.
        attack: attack::Attack,
        /// The node.
        address: std::net::SocketAddr,
    },
    /// The bare handler, as a process of its own: prints its address and serves until it is killed.
    #[command(hide = true)]
    ServeBare {
        /// The database.
        database_url: String,
        /// Ask each connection whether it lives before using it, as sqlx does by default.
        #[arg(long)]
        ping: bool,
    },
    /// The bare broadcast, as a process of its own.
    #[command(hide = true)]
    ServeBroadcast {
        /// What it sends.
        frame: String,
    },
    /// Clients of a fan-out, as a process of their own: prints what they have received.
    #[command(hide = true)]
    Read {
        /// Where they connect.
        address: std::net::SocketAddr,
        /// How many there are.
        count: usize,
        /// Frames that each of them says first.
        #[arg(long)]
        say: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let goals = match Arguments::parse().which.unwrap_or(Which::All) {
        Which::ServeBare { database_url, ping } => {
            return bare::serve(&database_url, ping).await.map(|()| ExitCode::SUCCESS);
        }
        Which::ServeBroadcast { frame } => {
            return bare::serve_broadcast(frame).await.map(|()| ExitCode::SUCCESS);
        }
        Which::Read { address, count, say } => {
            return readers::run(address, count, &say).await.map(|()| ExitCode::SUCCESS);
        }
        Which::Attack { attack, address } => {
            return attack::run_attackers(attack, address).await.map(|()| ExitCode::SUCCESS);
        }
        Which::Attacks { seconds, which } => {
            let which = if which.is_empty() { attack::Attack::value_variants() } else { &which };
            attack::run(which, Duration::from_secs(seconds)).await?
        }
        Which::SlowClients => slow_clients::run().await?,
        Which::Actor => actor::run().await?,
        Which::Rpc => rpc::run().await?,
        Which::Panic => panics::run().await?,
        Which::Recovery => recovery::run().await?,
        Which::Tax => tax::run().await?,
        Which::Fanout => fanout::run().await?,
        Which::Live => live::run().await?,
        Which::Jobs => jobs::run().await?,
        Which::Drain => drain::run().await?,
        Which::Enqueue => enqueue::run().await?,
        Which::Idle => idle::run().await?,
        Which::Limits => limits::run().await?,
        Which::Workflows => workflows::run().await?,
        Which::Storm { jobs, seconds } => storm::run(jobs, seconds).await?,
        Which::Churn { jobs, pinned_seconds, rate } => {
            churn::run(jobs, Duration::from_secs(pinned_seconds), rate).await?
        }
        Which::Pages { rows } => pages::run(rows).await?,
        Which::All => {
            let mut goals = actor::run().await?;
            goals.extend(rpc::run().await?);
            goals.extend(panics::run().await?);
            goals.extend(recovery::run().await?);
            goals.extend(tax::run().await?);
            goals.extend(fanout::run().await?);
            goals.extend(live::run().await?);
            goals.extend(drain::run().await?);
            goals.extend(jobs::run().await?);
            goals.extend(enqueue::run().await?);
            goals.extend(idle::run().await?);
            goals.extend(limits::run().await?);
            goals.extend(workflows::run().await?);
            goals
        }
    };
    goal::print(&goals);
    let all_met = goals.iter().all(goal::Goal::is_met);
    Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
