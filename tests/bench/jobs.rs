//! Jobs that do nothing: how many a node drains a second, against bare loops over a table on the same
//! Postgres; what a dispatch adds to a mutation, with the job run as well; how long after its dispatch a
//! job's handler starts on an idle node.

use std::time::{Duration, Instant};

use forge_tests::{Load, until};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use crate::goal::{Goal, median, percentile};
use crate::queue::{self, Style};
use crate::stage::Stage;

const ROUNDS: usize = 5;
/// Jobs of one drain.
const JOBS: u32 = 30_000;
/// Mutations run for this long in each round, over as many connections as there are writers in Forge's pool.
const ROUND: Duration = Duration::from_secs(3);
const WRITERS: usize = 16;
/// Dispatches of an idle node, and the pause after each.
const LONE: usize = 300;
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks whether jobs are left.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let stage = Stage::set().await;
    queue::create(&stage.database).await;
    let mut goals = drains(&stage).await?;
    goals.push(dispatches(&stage).await?);
    goals.extend(latencies(&stage).await?);
    Ok(goals)
}

async fn drains(stage: &Stage) -> anyhow::Result<Vec<Goal>> {
    let (mut kept, mut popped) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let keep = queue::drain(&stage.database, JOBS, Style::ClaimAndKeep).await?;
        let forge = drain(stage).await?;
        let pop = queue::drain(&stage.database, JOBS, Style::Pop).await?;
        if round == 0 {
            // Pools, plans and files that grow.
            continue;
        }
        println!(
            "jobs: {forge:.0}/s drained; bare loops {keep:.0}/s that keep their rows, {pop:.0}/s that delete them unrun"
        );
        kept.push(forge / keep);
        popped.push(forge / pop);
    }
    // The best of the queues that keep their rows reaches 0.3 of the first one.
    Ok(vec![
        Goal::at_least("jobs/s drained, Forge / bare claim and finish", median(kept), "", 0.3),
        Goal::at_least("jobs/s drained, Forge / bare delete", median(popped), "", 0.15),
    ])
}

/// Jobs a second, of rows that become visible at once; one that is dispatched beside them wakes the workers.
async fn drain(stage: &Stage) -> anyhow::Result<f64> {
    let Stage { database, node, token, .. } = stage;
    for upkeep in ["truncate forge_jobs, forge_job_leases, forge_job_history", "checkpoint"] {
        database.execute(upkeep).await;
    }
    let insert = format!(
        "begin;
         insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
         select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'jobs.quick', 'quick', 50, 10, true, now(), json_build_object('n', n), true
         from generate_series(1, {JOBS}) n;
         analyze forge_jobs"
    );
    let mut connection = database.connect().await;
    connection.execute(AssertSqlSafe(insert)).await?;
    let began = Instant::now();
    connection.execute("commit").await?;
    node.call("jobs.enqueue_quick", json!({ "n": 0 }), Some(token)).await.data();
    drained(&mut connection).await?;
    Ok(f64::from(JOBS) / began.elapsed().as_secs_f64())
}

/// Waits until no job is left.
async fn drained(connection: &mut PgConnection) -> anyhow::Result<()> {
    let began = Instant::now();
    while sqlx::query_scalar("select exists (select from forge_unfinished_jobs)")
        .fetch_one(&mut *connection)
        .await?
    {
        anyhow::ensure!(began.elapsed() < PATIENCE, "jobs are left after {PATIENCE:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
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
    let request = Load::request(path, &arguments.to_string(), Some(&stage.token));
    let load = Load {
        address: stage.address(),
        request,
        connections: WRITERS,
        pace: None,
        duration: ROUND,
        status: 200,
    };
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
