//! Latency of other requests while handlers panic 166 times a second, and what 10,000 panics leave in memory.

use std::time::Duration;

use forge_tests::{Load, Measured};

use crate::goal::Goal;
use crate::stage::Stage;

/// Quiet and panicking rounds alternate; four panicking ones make 10,000 panics in a minute.
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(15);
const PANICS_PER_SECOND: u32 = 167;
const OTHERS_PER_SECOND: u32 = 200;

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let mut stage = Stage::set().await;
    // Caches, pools and the first panics' backtrace symbols are not what leaks.
    tokio::join!(others(&stage), panics(&stage));
    let before = stage.node.process().resident_bytes();
    let (mut quiet, mut panicking) = (Measured::default(), Measured::default());
    let mut count = 0;
    for _ in 0..ROUNDS {
        quiet.merge(others(&stage).await);
        let (measured, panicked) = tokio::join!(others(&stage), panics(&stage));
        panicking.merge(measured);
        count += panicked.answers();
    }
    let grown = stage.node.process().resident_bytes().saturating_sub(before) as f64 / (1024.0 * 1024.0);
    println!(
        "panic: {count} panicking calls; others' p99 {:?} quiet, {:?} panicking",
        quiet.quantile(0.99),
        panicking.quantile(0.99)
    );
    anyhow::ensure!(count >= 9_900, "only {count} calls panicked");
    anyhow::ensure!(quiet.failures + panicking.failures == 0, "other requests failed");
    let ratio = panicking.quantile(0.99).as_secs_f64() / quiet.quantile(0.99).as_secs_f64();
    Ok(vec![
        Goal::at_most("p99 of other requests while 166 handlers a second panic", ratio, "×", 1.2),
        Goal::at_most("resident memory after 10,000 panics", grown, " MiB", 10.0),
    ])
}

async fn others(stage: &Stage) -> Measured {
    paced(stage, stage.one(), OTHERS_PER_SECOND, 200).await
}

async fn panics(stage: &Stage) -> Measured {
    paced(stage, Load::request("/rpc/probe.panic", "{}", Some(&stage.token)), PANICS_PER_SECOND, 500).await
}

async fn paced(stage: &Stage, request: Vec<u8>, rate: u32, status: u16) -> Measured {
    const CONNECTIONS: u32 = 8;
    let pace = Some(Duration::from_secs(1) * CONNECTIONS / rate);
    Load {
        address: stage.address(),
        request,
        connections: CONNECTIONS as usize,
        pace,
        duration: ROUND,
        status,
    }
    .run()
    .await
}
