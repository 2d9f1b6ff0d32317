//! Many jobs that fail at once: when they are tried again, and how long a fresh job waits meanwhile.

use std::time::Duration;

use forge_tests::until;
use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::Executor;

use crate::goal::{Goal, percentile};
use crate::jobs::started_after;
use crate::stage::Stage;

const FAILING: i64 = 5_000;
/// Jobs that are dispatched meanwhile, and the pause after each.
const FRESH: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// Seconds in which failed jobs are due, from the first to the last, and how many jobs are due in each.
const BUCKETS: &str = "select count(job.id) from
    (select min(date_trunc('second', run_at)) as first, max(date_trunc('second', run_at)) as last
     from forge_jobs where name = 'jobs.refuse') as bounds
    cross join generate_series(first, last, '1s') as second
    left join forge_jobs job on job.name = 'jobs.refuse' and date_trunc('second', job.run_at) = second
    group by second";

pub(crate) async fn run(stage: &Stage) -> anyhow::Result<Vec<Goal>> {
    stage.database.execute("truncate forge_jobs, forge_job_leases, forge_job_history").await;
    let insert = format!(
        "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
         select gen_random_uuid(), 'jobs.refuse', 'quick', 50, 10, true, now(), json_build_object('n', n), true
         from generate_series(1, {FAILING}) n"
    );
    stage.database.connect().await.execute(AssertSqlSafe(insert)).await?;
    for _ in 0..FRESH {
        stage.node.call("jobs.enqueue_timed", json!({ "key": "fresh" }), Some(&stage.token)).await.data();
        tokio::time::sleep(PAUSE).await;
    }
    let fresh = percentile(&started_after(stage, "fresh", FRESH).await, 99);
    let failed =
        "select count(*) from forge_jobs where name = 'jobs.refuse' and attempt >= 1 and node_id is null";
    let all = || async { (stage.database.value::<i64>(failed).await == FAILING).then_some(()) };
    until("each job has failed once", PATIENCE, all).await;
    let buckets = stage.database.column::<i64>(BUCKETS).await;
    let (most, mean) =
        (buckets.iter().max().copied().unwrap_or_default() as f64, FAILING as f64 / buckets.len() as f64);
    println!(
        "jobs: {FAILING} jobs that failed at once are due over {} s, {most:.0} of them in the fullest second; a fresh job starts after {fresh:.2} ms (p99)",
        buckets.len()
    );
    Ok(vec![
        Goal::at_most(
            "retries in the fullest second / mean, of 5,000 that failed at once",
            most / mean,
            "",
            3.0,
        ),
        Goal::at_most("dispatch to start beside them, p99", fresh, " ms", 1_000.0),
    ])
}
