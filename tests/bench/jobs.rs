//! Jobs that do nothing: what a dispatch adds to a mutation, with the job run as well; how long after its
//! dispatch a job's handler starts on an idle node, at a fixed pace, and beside jobs that fail.

use std::time::{Duration, Instant};

use forge_tests::{Load, until};
use serde_json::{Value, json};

use crate::drain::drained;
use crate::failing;
use crate::goal::{Goal, median, percentile};
use crate::queue;
use crate::stage::Stage;

const ROUNDS: usize = 5;
/// Mutations run for this long in each round, over as many connections as there are writers in Forge's pool.
const ROUND: Duration = Duration::from_secs(3);
const WRITERS: usize = 16;
/// Dispatches of an idle node, and the pause after each.
const LONE: usize = 300;
const PAUSE: Duration = Duration::from_millis(50);
/// Dispatches at a fixed pace, 500 a second over all connections.
const PACED: usize = 10;
const PACE: Duration = Duration::from_millis(20);
const PACED_FOR: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let stage = Stage::set().await;
    queue::create(&stage.database).await;
    let mut goals = vec![dispatches(&stage).await?];
    goals.extend(latencies(&stage).await?);
    goals.extend(paced(&stage).await);
    goals.extend(failing::run(&stage).await?);
    Ok(goals)
}

/// Mutations that dispatch a job, until the last of them has run, against mutations that insert a row.
async fn dispatches(stage: &Stage) -> anyhow::Result<Goal> {
    let mut connection = stage.database.connect().await;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        stage
            .database
            .execute("truncate forge_jobs, forge_job_leases, forge_job_history, probe_effects")
            .await;
        let began = Instant::now();
        let dispatched = load(stage, "/rpc/jobs.enqueue_quick", json!({ "n": 1 })).await;
        drained(&mut connection).await?;
        let (jobs, all) = (dispatched as f64 / began.elapsed().as_secs_f64(), began.elapsed());
        let began = Instant::now();
        let inserted = load(stage, "/rpc/probe.append", json!({ "key": "a" })).await;
        let rows = inserted as f64 / began.elapsed().as_secs_f64();
        println!(
            "jobs: {jobs:.0}/s dispatched one by one and run, the last after {:.2}s; {rows:.0} rows/s inserted",
            all.as_secs_f64()
        );
        ratios.push(jobs / rows);
    }
    Ok(Goal::at_least(
        "jobs/s dispatched singly and run / mutations that insert a row",
        median(ratios),
        "",
        0.5,
    ))
}

/// How many calls succeeded.
async fn load(stage: &Stage, path: &str, arguments: Value) -> usize {
    call(stage, path, arguments, WRITERS, None, ROUND).await
}

async fn call(
    stage: &Stage,
    path: &str,
    arguments: Value,
    connections: usize,
    pace: Option<Duration>,
    duration: Duration,
) -> usize {
    let request = Load::request(path, &arguments.to_string(), Some(&stage.token));
    let load = Load { address: stage.address(), request, connections, pace, duration, status: 200 };
    let measured = load.run().await;
    assert_eq!(measured.failures, 0, "a benchmark that fails measures nothing");
    measured.answers()
}

async fn latencies(stage: &Stage) -> anyhow::Result<Vec<Goal>> {
    let bare = queue::latencies(&stage.database, LONE, PAUSE).await?;
    for n in 0..LONE {
        stage
            .node
            .call("jobs.enqueue_timed", json!({ "key": format!("{n}") }), Some(&stage.token))
            .await
            .data();
        tokio::time::sleep(PAUSE).await;
    }
    let started = "select what::float8 / 1000 from probe_effects where what ~ '^[0-9]+$' order by 1";
    let all =
        || async { Some(stage.database.column::<f64>(started).await).filter(|found| found.len() == LONE) };
    let forge = until("every timed job has said when it started", PATIENCE, all).await;
    let (p50, p99) = (percentile(&forge, 50), percentile(&forge, 99));
    let (bare_p50, bare_p99) = (percentile(&bare, 50), percentile(&bare, 99));
    println!(
        "jobs: dispatch to start on an idle node {p50:.2} ms p50, {p99:.2} ms p99; bare notify to taken row {bare_p50:.2} and {bare_p99:.2} ms"
    );
    Ok(vec![
        Goal::at_most("dispatch to start when idle, p50, Forge / bare notify", p50 / bare_p50, "", 2.0),
        Goal::at_most("dispatch to start when idle, p99, Forge / bare notify", p99 / bare_p99, "", 2.0),
    ])
}

/// From dispatch to start while jobs are dispatched at a fixed pace.
async fn paced(stage: &Stage) -> Vec<Goal> {
    let dispatched =
        call(stage, "/rpc/jobs.enqueue_timed", json!({ "key": "paced" }), PACED, Some(PACE), PACED_FOR).await;
    let started = started_after(stage, "paced", dispatched).await;
    let (p50, p99) = (percentile(&started, 50), percentile(&started, 99));
    let rate = dispatched as f64 / PACED_FOR.as_secs_f64();
    println!("jobs: dispatch to start at {rate:.0}/s {p50:.2} ms p50, {p99:.2} ms p99");
    vec![
        Goal::at_most("dispatch to start at 500/s, p50", p50, " ms", 3.0),
        Goal::at_most("dispatch to start at 500/s, p99", p99, " ms", 15.0),
    ]
}

/// Milliseconds from dispatch to start of the timed jobs with this key, in ascending order.
pub(crate) async fn started_after(stage: &Stage, key: &str, jobs: usize) -> Vec<f64> {
    let started = format!(
        "select what::float8 / 1000 from probe_effects where key = '{key}' and what ~ '^[0-9]+$' order by 1"
    );
    let all =
        || async { Some(stage.database.column::<f64>(&started).await).filter(|found| found.len() == jobs) };
    until("every timed job has said when it started", PATIENCE, all).await
}
