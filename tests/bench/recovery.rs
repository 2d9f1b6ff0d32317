//! How long after the database is back a node is ready, under load.

use std::time::{Duration, Instant};

use forge_tests::{Load, until};

use crate::goal::{Goal, median};
use crate::stage::Stage;

const CRASHES: usize = 5;
const LIMIT: Duration = Duration::from_secs(30);
/// Long enough that waiting with backoff has reached its longest interval.
const AWAY: Duration = Duration::from_secs(8);

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let mut stage = Stage::set().await;
    let address = stage.address();
    let load = Load {
        address,
        request: stage.one(),
        connections: 8,
        pace: None,
        duration: Duration::from_secs(3600),
        status: 200,
    };
    let load = tokio::spawn(load.run());
    let mut seconds = Vec::new();
    for _ in 0..CRASHES {
        stage.postgres.crash();
        let node = &stage.node;
        until("/ready says 503", LIMIT, || async { node.readiness().await.filter(|status| *status == 503) })
            .await;
        tokio::time::sleep(AWAY).await;
        stage.postgres.restart().await;
        let back = Instant::now();
        stage.node.await_ready(LIMIT).await;
        seconds.push(back.elapsed().as_secs_f64());
    }
    load.abort();
    let worst = seconds.iter().copied().fold(0.0, f64::max);
    println!(
        "recovery: ready after {:.2} s in the median, {worst:.2} s at worst, of {CRASHES} crashes",
        median(seconds)
    );
    Ok(vec![Goal::at_most("ready after the database is back, worst of 5", worst, " s", 5.0)])
}
