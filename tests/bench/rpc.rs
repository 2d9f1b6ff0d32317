//! An authenticated one-row query through a node, against a bare handler that does the same query:
//! alternating rounds.
//!
//! The bare handler does not ping its connections before use, although sqlx does by default: Forge saves that
//! round trip too, and the comparison is with the best bare handler, not the usual one. The usual one is
//! printed for information.

use std::net::SocketAddr;
use std::time::Duration;

use forge_tests::Load;

use crate::bare;
use crate::goal::{Goal, median};
use crate::stage::Stage;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
/// Rounds before the measured ones, for plans, caches and connections.
const WARM_UP: Duration = Duration::from_secs(2);

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let stage = Stage::set().await;
    let url = stage.database.url();
    let (_best, best) = bare::start(url, false).await;
    let (_usual, usual) = bare::start(url, true).await;
    let forge = stage.address();
    for address in [forge, best, usual] {
        measure(&stage, address, 16, WARM_UP).await;
    }
    let mut goals = Vec::new();
    for connections in [64, 16, 1] {
        let compared = compare(&stage, forge, best, connections).await;
        println!("rpc, {connections:>2} connections, medians: {compared}");
        match connections {
            1 => goals.push(Goal::at_least(
                "rpc p50 latency, bare / Forge, 1 connection",
                compared.p50,
                "×",
                0.9,
            )),
            16 => {
                goals.push(Goal::at_least(
                    "rpc requests/s, Forge / bare, 16 connections",
                    compared.rate,
                    "×",
                    0.85,
                ));
                goals.push(Goal::at_least(
                    "rpc p50 latency, bare / Forge, 16 connections",
                    compared.p50,
                    "×",
                    0.9,
                ));
            }
            _ => goals.push(Goal::at_least(
                "rpc requests/s, Forge / bare, 64 connections",
                compared.rate,
                "×",
                0.85,
            )),
        }
    }
    let information = compare(&stage, forge, usual, 16).await;
    println!("rpc, 16 connections, against sqlx's default pool (pings before use): {information}");
    Ok(goals)
}

struct Compared {
    rate: f64,
    p50: f64,
    absolute: String,
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "requests/s {:.2}×, p50 {:.2}× ({})", self.rate, self.p50, self.absolute)
    }
}

/// Medians over the rounds of: Forge's rate over the bare one's, the bare p50 over Forge's.
async fn compare(stage: &Stage, forge: SocketAddr, bare: SocketAddr, connections: usize) -> Compared {
    let (mut rates, mut p50s) = (Vec::new(), Vec::new());
    let mut last = String::new();
    for round in 0..ROUNDS {
        // Who goes first changes, so that neither always runs after the other.
        let (ours, theirs) = if round % 2 == 0 {
            let ours = measure(stage, forge, connections, ROUND).await;
            (ours, measure(stage, bare, connections, ROUND).await)
        } else {
            let theirs = measure(stage, bare, connections, ROUND).await;
            (measure(stage, forge, connections, ROUND).await, theirs)
        };
        rates.push(ours.rate() / theirs.rate());
        p50s.push(theirs.quantile(0.5).as_secs_f64() / ours.quantile(0.5).as_secs_f64());
        last = format!(
            "last round: {:.0} and {:.0} requests/s, p50 {:?} and {:?}",
            ours.rate(),
            theirs.rate(),
            ours.quantile(0.5),
            theirs.quantile(0.5)
        );
    }
    Compared { rate: median(rates), p50: median(p50s), absolute: last }
}

async fn measure(
    stage: &Stage,
    address: SocketAddr,
    connections: usize,
    duration: Duration,
) -> forge_tests::Measured {
    let measured =
        Load { address, request: stage.one(), connections, pace: None, duration, status: 200 }.run().await;
    assert_eq!(measured.failures, 0, "a benchmark that fails measures nothing");
    measured
}
