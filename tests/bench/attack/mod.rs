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

use crate::goal::Goal;
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
    let (mut quiet, mut attacked) = (Seen::default(), Seen::default());
    let (mut largest, mut connections_ended) = (before, 0);
    for _ in 0..ROUNDS {
        quiet.merge(others.watch(round).await?);
        let mut attackers = Attackers::start(attack, stage.address()).await;
        attacked.merge(while_sampling(stage.node.process(), &mut largest, others.watch(round)).await?);
        connections_ended += attackers.connections_ended();
        println!("{}: {}", attack.name(), attackers.report()?);
        drop(attackers);
        tokio::time::sleep(SETTLE).await;
    }
    let growth = largest.saturating_sub(before) as f64 / MIB;
    print(attack, &quiet, &attacked, growth);
    let goal = |what: &str, quiet: &Latencies, attacked: &Latencies| {
        let what = format!("{}: p99 of {what}, attacked / quiet", attack.name());
        Goal::at_most(what, attacked.percentile(99) / quiet.percentile(99), "×", RATIO_MAX)
    };
    let mut goals = vec![
        goal("calls", &quiet.calls, &attacked.calls),
        goal("first snapshots", &quiet.first_snapshots, &attacked.first_snapshots),
        goal("updates", &quiet.updates, &attacked.updates),
        Goal::at_most(format!("{}: refused", attack.name()), attacked.refused as f64, "", 0.0),
        Goal::at_most(format!("{}: resident memory", attack.name()), growth, " MiB", GROWTH_MIB_MAX),
    ];
    if attack == Attack::SteadyReaders {
        let what = format!("{}: readers that were cut", attack.name());
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

fn print(attack: Attack, quiet: &Seen, attacked: &Seen, growth: f64) {
    let name = attack.name();
    for (what, quiet, attacked) in [
        ("calls", &quiet.calls, &attacked.calls),
        ("first snapshots", &quiet.first_snapshots, &attacked.first_snapshots),
        ("updates", &quiet.updates, &attacked.updates),
    ] {
        println!("{name}: {what}, ms: quiet {quiet}, attacked {attacked}");
    }
    let (before, meanwhile) = (quiet.refused, attacked.refused);
    println!("{name}: {before} refused quiet, {meanwhile} attacked; {growth:.1} MiB more");
}
