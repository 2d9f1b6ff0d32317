//! What a limit costs the jobs that it does not hold up, and what the jobs cost others that it does.

use std::time::{Duration, Instant};

use forge_tests::{Database, probe, until};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::drain::drained;
use crate::goal::{Goal, median, percentile};
use crate::stage::Stage;

const ROUNDS: usize = 3;
const JOBS: u32 = 50_000;
/// Keys of these jobs, of which each may have two at a time. A node holds up to 5,100 jobs.
const KEYS: u32 = 10_000;
/// Jobs that wait behind a limit.
const BLOCKED: u32 = 100_000;
const LONE: usize = 300;
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let config = format!("{}\n[jobs]\nconcurrency = 100\nqueue_share = 1.0\n", probe::CONFIG);
    let stage = Stage::with(&config).await;
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let (free, limited) = (drain(&stage, None).await?, drain(&stage, Some("k")).await?);
        if round > 0 {
            println!(
                "limits: {limited:.0} jobs/s with a key whose limit is never reached, {free:.0}/s without, on rows of their own as well"
            );
            ratios.push(limited / free);
        }
    }
    let (quiet, beside) = beside_blocked(&stage).await?;
    println!(
        "limits: dispatch to start {:.2} ms p50, {:.2} ms p99; beside {BLOCKED} blocked jobs {:.2} and {:.2} ms",
        percentile(&quiet, 50),
        percentile(&quiet, 99),
        percentile(&beside, 50),
        percentile(&beside, 99)
    );
    Ok(vec![
        Goal::at_least("jobs/s with a limit that is not reached / without", median(ratios), "", 0.9),
        Goal::at_most(
            "dispatch to start, p99, beside 100,000 blocked jobs / before",
            percentile(&beside, 99) / percentile(&quiet, 99),
            "",
            2.0,
        ),
    ])
}

/// Jobs a second, on rows of their own. With a `key`, keys that begin with it, none of which reaches its
/// limit.
async fn drain(stage: &Stage, key: Option<&str>) -> anyhow::Result<f64> {
    for upkeep in ["truncate forge_jobs, forge_job_leases, forge_job_history", "checkpoint"] {
        stage.database.execute(upkeep).await;
    }
    let (name, key) = match key {
        Some(key) => ("limits.quick_pair", format!("'{key}-' || n % {KEYS}")),
        None => ("jobs.quick", "null".to_owned()),
    };
    let insert = format!(
        "begin;
         insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched, concurrency_key)
         select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '{name}', 'quick', 50, 10, true, now(), json_build_object('n', n), false, {key}
         from generate_series(1, {JOBS}) n;
         analyze forge_jobs"
    );
    let mut connection = stage.database.connect().await;
    connection.execute(AssertSqlSafe(insert)).await?;
    let began = Instant::now();
    connection.execute("commit").await?;
    stage.node.call("jobs.enqueue_quick", json!({ "n": 0 }), Some(&stage.token)).await.data();
    drained(&mut connection).await?;
    Ok(f64::from(JOBS) / began.elapsed().as_secs_f64())
}

/// Milliseconds from dispatch to start, in ascending order: before, and beside jobs that a limit blocks.
async fn beside_blocked(stage: &Stage) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let quiet = latencies(stage, "quiet").await;
    let key = json!({ "key": "full", "count": 4, "ms": 600_000 });
    stage.node.call("limits.enqueue_pairs", key, Some(&stage.token)).await.data();
    let blocked = "select count(*) from forge_jobs where blocked_by is not null";
    let has_blocked =
        || async { Some(stage.database.value::<i64>(blocked).await).filter(|count| *count > 0) };
    until("the limit is reached", PATIENCE, has_blocked).await;
    let insert = format!(
        "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, due_at, blocked_by, args, concurrency_key)
         select gen_random_uuid(), name, queue, priority, attempts_max, false, run_at, due_at, blocked_by, args, concurrency_key
         from (select * from forge_jobs where blocked_by is not null limit 1) as one cross join generate_series(1, {BLOCKED})"
    );
    stage.database.execute(&insert).await;
    stage.database.execute("analyze forge_jobs").await;
    Ok((quiet, latencies(stage, "beside").await))
}

async fn latencies(stage: &Stage, name: &str) -> Vec<f64> {
    for n in 0..LONE {
        let key = json!({ "key": format!("{name}-{n}") });
        stage.node.call("jobs.enqueue_timed", key, Some(&stage.token)).await.data();
        tokio::time::sleep(PAUSE).await;
    }
    let started = format!(
        "select what::float8 / 1000 from probe_effects where key like '{name}-%' and what ~ '^[0-9]+$' order by 1"
    );
    let database: &Database = &stage.database;
    let all = || async { Some(database.column::<f64>(&started).await).filter(|found| found.len() == LONE) };
    until("every timed job has said when it started", PATIENCE, all).await
}
