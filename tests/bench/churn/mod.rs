//! Jobs that come and go for long: whether the tables that each job passes through stay as small, and claims
//! as fast, as they were in the beginning; and what is left of the pace while an old snapshot keeps the
//! server from removing dead rows. Both parts run under the settings of a server as it is installed:
//! autovacuum looks at a table once a minute, so that a run of less than some minutes shows little.

mod claim_log;
mod drained;
mod hot_tables;
mod pinned;

use std::time::Duration;

use forge_tests::probe;

use crate::goal::Goal;
use crate::stage::Stage;

/// Drains `jobs` jobs; then runs `rate` jobs a second beside an old snapshot for `pinned`. A part without
/// jobs, or without time, is left out.
pub(crate) async fn run(jobs: u64, pinned: Duration, rate: u32) -> anyhow::Result<Vec<Goal>> {
    let mut goals = Vec::new();
    if jobs > 0 {
        goals.extend(drained::run(jobs).await?);
    }
    if !pinned.is_zero() {
        goals.extend(pinned::run(pinned, rate).await?);
    }
    Ok(goals)
}

/// A node with 100 workers, all of them open to each queue.
async fn stage() -> Stage {
    let config = format!("{}\n[jobs]\nconcurrency = 100\nqueue_share = 1.0\n", probe::CONFIG);
    Stage::with(&config).await
}

/// How many jobs the node has completed since its start.
async fn completed(stage: &Stage) -> anyhow::Result<u64> {
    let metrics = stage.node.client().get("/metrics").await?.text;
    let counters = metrics.lines().filter(|line| {
        line.starts_with("forge_job_attempts_total{") && line.contains("status=\"completed\"")
    });
    Ok(counters.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
}
