//! Benchmarks as ratios, measured in one run on one machine: `just bench [all | actor | rpc | panic | recovery | tax]`.
//!
//! Absolute figures of a shared machine mean little, so each figure is compared with its opposite in the same run, in alternating
//! rounds, and printed beside its goal. The exit code is 1 when a goal is missed; no test asserts a duration.

mod actor;
mod bare;
mod goal;
mod panics;
mod recovery;
mod rpc;
mod stage;
mod tax;

use clap::{Parser, Subcommand};

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
    /// Every benchmark.
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
    /// The bare handler, as a process of its own: prints its address and serves until it is killed.
    #[command(hide = true)]
    ServeBare {
        /// The database.
        database_url: String,
        /// Ask each connection whether it lives before using it, as sqlx does by default.
        #[arg(long)]
        ping: bool,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let goals = match Arguments::parse().which.unwrap_or(Which::All) {
        Which::ServeBare { database_url, ping } => return bare::serve(&database_url, ping).await,
        Which::Actor => actor::run().await?,
        Which::Rpc => rpc::run().await?,
        Which::Panic => panics::run().await?,
        Which::Recovery => recovery::run().await?,
        Which::Tax => tax::run().await?,
        Which::All => {
            let mut goals = actor::run().await?;
            goals.extend(rpc::run().await?);
            goals.extend(panics::run().await?);
            goals.extend(recovery::run().await?);
            goals.extend(tax::run().await?);
            goals
        }
    };
    goal::print(&goals);
    anyhow::ensure!(goals.iter().all(goal::Goal::is_met), "a goal was missed");
    Ok(())
}
