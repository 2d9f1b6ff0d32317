//! How many jobs that do nothing a node drains a second, with 10 and with 100 workers, and what each costs
//! the server and the node: against bare loops over a table on the same Postgres.

use std::time::{Duration, Instant};

use forge_tests::{cpu_time_of, cpu_time_of_family, probe};
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use crate::goal::{Goal, median};
use crate::queue::{self, Style};
use crate::stage::Stage;

/// Measured rounds; one before them is not counted.
const ROUNDS: usize = 4;
/// Jobs of one drain.
const JOBS: u32 = 100_000;
/// Jobs of one drain of a bare loop.
const BARE_JOBS: u32 = 50_000;
/// Between two looks whether jobs are left. A look reads the dead rows of the table, which costs the server
/// some milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Seconds from a moment of the server to the last result. A row has the moment at which the statement that
/// wrote it began, some milliseconds before its commit.
const TOOK: &str = "select extract(epoch from max(finished_at) - $1)::float8 from forge_job_history";
const PATIENCE: Duration = Duration::from_secs(120);

/// One drain.
struct Drain {
    /// Jobs a second.
    rate: f64,
    /// Microseconds of the server for each job.
    server: f64,
    /// Microseconds of the node for each job.
    node: f64,
}

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let mut goals = Vec::new();
    for workers in [10, 100] {
        let config = format!("{}\n[jobs]\nconcurrency = {workers}\nqueue_share = 1.0\n", probe::CONFIG);
        let mut stage = Stage::with(&config).await;
        queue::create(&stage.database).await;
        goals.extend(drains(&mut stage, workers).await?);
    }
    Ok(goals)
}

async fn drains(stage: &mut Stage, workers: u32) -> anyhow::Result<Vec<Goal>> {
    let (mut kept, mut popped, mut server, mut node) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let keep = queue::drain(&stage.database, BARE_JOBS, Style::ClaimAndKeep).await?;
        let forge = drain(stage).await?;
        let pop = queue::drain(&stage.database, BARE_JOBS, Style::Pop).await?;
        if round == 0 {
            // Pools, plans and files that grow.
            continue;
        }
        println!(
            "drain: {workers} workers, {:.0}/s, {:.1} µs of the server and {:.1} µs of the node a job; bare loops {keep:.0}/s that keep their rows, {pop:.0}/s that delete them unrun",
            forge.rate, forge.server, forge.node
        );
        kept.push(forge.rate / keep);
        popped.push(forge.rate / pop);
        server.push(forge.server);
        node.push(forge.node);
    }
    let name = |what: &str| format!("{what}, {workers} workers");
    Ok(vec![
        Goal::at_least(name("jobs/s drained, Forge / bare claim and update"), median(kept), "", 0.85),
        Goal::at_least(name("jobs/s drained, Forge / bare delete"), median(popped), "", 0.15),
        Goal::at_most(name("CPU of Postgres for a job"), median(server), " µs", 26.0),
        Goal::at_most(name("CPU of the node for a job"), median(node), " µs", 11.0),
    ])
}

/// Drains rows that become visible at once; one that is dispatched beside them wakes the workers.
async fn drain(stage: &mut Stage) -> anyhow::Result<Drain> {
    let pid = stage.node.process().pid();
    let Stage { database, node, token, postgres } = stage;
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
    let cpu = || (cpu_time_of_family(postgres.pid()), cpu_time_of(pid));
    let before = cpu();
    connection.execute("commit").await?;
    let began: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut connection).await?;
    node.call("jobs.enqueue_quick", json!({ "n": 0 }), Some(token)).await.data();
    drained(&mut connection).await?;
    let after = cpu();
    let took: f64 = sqlx::query_scalar(TOOK).bind(began).fetch_one(&mut connection).await?;
    let per_job = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(JOBS);
    Ok(Drain {
        rate: f64::from(JOBS) / took,
        server: per_job(after.0.saturating_sub(before.0)),
        node: per_job(after.1.saturating_sub(before.1)),
    })
}

/// Waits until no job is left.
pub(crate) async fn drained(connection: &mut PgConnection) -> anyhow::Result<()> {
    let began = Instant::now();
    let left = "select exists (select from forge_jobs) or exists (select from forge_unfinished_jobs)";
    while sqlx::query_scalar(left).fetch_one(&mut *connection).await? {
        anyhow::ensure!(began.elapsed() < PATIENCE, "jobs are left after {PATIENCE:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
