//! Attacks on one node, and what other clients notice of them: quiet rounds and attacked ones alternate.
//!
//! The attackers are a process of their own with the lowest priority: elsewhere they would have machines of
//! their own. They come from other addresses of the loopback than the clients that are measured, since much
//! of what protects the node counts by address. Each attack has a fresh node, so that what one attack leaves
//! in memory is not what the next one starts from.

mod driver;
mod others;

use std::time::Duration;

use forge_tests::{Process, probe};
use tempfile::TempDir;

pub(crate) use driver::{Attack, run as run_attackers};

use crate::goal::{Goal, median};
use crate::stage::Stage;
use driver::Attackers;
use others::{Latencies, Others, Seen};

const ROUNDS: u32 = 3;
/// Rounds before the measured ones, for code, caches and pools.
const WARM_UP: Duration = Duration::from_secs(5);
/// For what an attack leaves behind in the node, after its clients are gone.
const SETTLE: Duration = Duration::from_secs(5);
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
const MIB: f64 = 1024.0 * 1024.0;

/// How many times longer others may wait, and how much the node may grow.
const RATIO_MAX: f64 = 2.0;
const GROWTH_MIB_MAX: f64 = 64.0;

/// Runs each of `attacks` for `duration`.
pub(crate) async fn run(attacks: &[Attack], duration: Duration) -> anyhow::Result<Vec<Goal>> {
    crate::fanout::raise_file_limit()?;
    let mut goals = Vec::new();
    for attack in attacks {
        goals.extend(measure(*attack, duration / ROUNDS).await?);
    }
    Ok(goals)
}

async fn measure(attack: Attack, round: Duration) -> anyhow::Result<Vec<Goal>> {
    let page = page()?;
    let assets = format!("[gateway]\nassets = {:?}", page.path());
    let mut stage = Stage::with(&probe::CONFIG.replace("[gateway]", &assets)).await;
    let others = Others::new(&stage);
    others.watch(WARM_UP).await?;
    let before = stage.node.process().resident_bytes();
    let name = attack.name();
    let (mut rounds, mut refused) = (Vec::new(), 0);
    let (mut largest, mut connections_ended) = (before, 0);
    for _ in 0..ROUNDS {
        let quiet = others.watch(round).await?;
        let mut attackers = Attackers::start(attack, stage.address()).await;
        let attacked = while_sampling(stage.node.process(), &mut largest, others.watch(round)).await?;
        connections_ended += attackers.connections_ended();
        println!("{name}: {}", attackers.report()?);
        drop(attackers);
        println!("{name}: quiet {quiet}");
        println!("{name}: attacked {attacked}");
        refused += attacked.refused;
        rounds.push((quiet, attacked));
        tokio::time::sleep(SETTLE).await;
    }
    let growth = largest.saturating_sub(before) as f64 / MIB;
    let goal = |what: &str, latencies: fn(&Seen) -> &Latencies| {
        // The median of the rounds, since other programs of the machine disturb some of them.
        let p99 = |seen: &Seen| latencies(seen).percentile(99);
        let ratios = rounds.iter().map(|(quiet, attacked)| p99(attacked) / p99(quiet)).collect();
        Goal::at_most(format!("{name}: p99 of {what}, attacked / quiet"), median(ratios), "×", RATIO_MAX)
    };
    let mut goals = vec![
        goal("calls", |seen| &seen.calls),
        goal("first snapshots", |seen| &seen.first_snapshots),
        goal("updates", |seen| &seen.updates),
        Goal::at_most(format!("{name}: refused"), refused as f64, "", 0.0),
        Goal::at_most(format!("{name}: resident memory"), growth, " MiB", GROWTH_MIB_MAX),
    ];
    if attack == Attack::SteadyReaders {
        let what = format!("{name}: readers that were cut");
        goals.push(Goal::at_most(what, connections_ended as f64, "", 0.0));
    }
    Ok(goals)
}

/// A page with a large file.
fn page() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(driver::FILE), vec![b'x'; driver::FILE_BYTES])?;
    Ok(folder)
}

/// What `watched` comes to; `largest` becomes the most memory that the node had meanwhile.
async fn while_sampling<T>(node: &Process, largest: &mut u64, watched: impl Future<Output = T>) -> T {
    tokio::pin!(watched);
    let mut samples = tokio::time::interval(SAMPLE_EVERY);
    loop {
        tokio::select! {
            seen = &mut watched => return seen,
            _ = samples.tick() => *largest = (*largest).max(node.resident_bytes()),
        }
    }
}
