//! Ten thousand and a hundred thousand runs that sleep: what they take of a node's memory, how soon they have
//! ended when all of them are due at once, and what they cost a node that starts.

use std::time::{Duration, Instant};

use forge_tests::{Binary, Database, Node, PostgresProcess, probe};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::goal::{Goal, median};

const SLEEPERS: u32 = 10_000;
/// Runs of a node before it is measured: what the first ones allocate stays.
const FIRST: u32 = 100;
/// Longer than the benchmark takes.
const SECS: u32 = 30 * 24 * 60 * 60;
/// After which a node is idle: memory is given back, and duties have run once.
const SETTLING: Duration = Duration::from_secs(10);
/// Starts of nodes that are compared.
const STARTS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const ASLEEP: &str = "select count(*) from forge_workflow_runs where status = 'waiting'";
const ENDED: &str = "select count(*) from forge_workflow_history where status = 'completed'";
const MIB: f64 = 1024.0 * 1024.0;

/// All within a second, runs and their sleeps alike.
const MAKE_DUE: &str = "
    with due as (
        update forge_workflow_runs set due_at = clock_timestamp() + random() * interval '1 s' returning id, due_at
    )
    update forge_workflow_steps step set due_at = due.due_at from due where step.run_id = due.id";
/// Ten times as many, as they are.
const MULTIPLY: [&str; 3] = [
    "create table more as
     select id, gen_random_uuid() as copy from forge_workflow_runs, generate_series(1, 9)",
    "insert into forge_workflow_runs
     select (jsonb_populate_record(run, jsonb_build_object('id', copy))).* from forge_workflow_runs run join more using (id)",
    "insert into forge_workflow_steps
     select (jsonb_populate_record(step, jsonb_build_object('run_id', copy))).* from forge_workflow_steps step join more on run_id = id",
];

pub(super) async fn run() -> anyhow::Result<Vec<Goal>> {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let mut connection = database.connect().await;
    let mut node = start(&database).await;
    sleep(&node, FIRST).await;
    await_count(&mut connection, ASLEEP, FIRST).await?;
    end_all(&database, FIRST).await?;
    tokio::time::sleep(SETTLING).await;
    let idle = resident(&mut node);
    sleep(&node, SLEEPERS).await;
    await_count(&mut connection, ASLEEP, SLEEPERS).await?;
    tokio::time::sleep(SETTLING).await;
    let asleep = resident(&mut node);
    database.execute("vacuum analyze forge_workflow_runs, forge_workflow_steps").await;
    let woken = end_all(&database, SLEEPERS + FIRST).await?;
    println!(
        "workflows: {idle:.1} MiB idle, {asleep:.1} with {SLEEPERS} sleeping runs, which end in {woken:.1} s"
    );

    node.stop(PATIENCE).await;

    let empty = starts(&database).await;
    let node = start(&database).await;
    sleep(&node, SLEEPERS).await;
    await_count(&mut connection, ASLEEP, SLEEPERS).await?;
    node.stop(PATIENCE).await;
    for statement in MULTIPLY {
        database.execute(statement).await;
    }
    database.execute("vacuum analyze forge_workflow_runs, forge_workflow_steps").await;
    let full = starts(&database).await;
    println!(
        "workflows: a node starts in {:.2} s and takes {:.1} MiB; with {} sleeping runs {:.2} s and {:.1} MiB",
        empty.0,
        empty.1,
        SLEEPERS * 10,
        full.0,
        full.1
    );
    Ok(vec![
        Goal::at_most("memory of 10,000 sleeping runs", asleep - idle, " MiB", 10.0),
        Goal::at_most("10,000 sleeping runs due within a second have ended after", woken, " s", 10.0),
        Goal::at_most("start of a node with 100,000 sleeping runs / without", full.0 / empty.0, "", 1.2),
        Goal::at_most(
            "memory of a started node with 100,000 sleeping runs, more",
            full.1 - empty.1,
            " MiB",
            2.0,
        ),
    ])
}

async fn start(database: &Database) -> Node {
    Node::builder(Binary::Probe).database(database).file("forge.toml", probe::CONFIG).start().await
}

/// Starts runs that sleep.
async fn sleep(node: &Node, count: u32) {
    let arguments = json!({ "count": count, "secs": SECS });
    node.call("runs.start_naps", arguments, Some(&probe::token("bench"))).await.data();
}

/// Seconds from the moment at which the first of all sleeping runs was due until `count` have ended.
async fn end_all(database: &Database, count: u32) -> anyhow::Result<f64> {
    let mut connection = database.connect().await;
    let began: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut connection).await?;
    sqlx::query(MAKE_DUE).execute(&mut connection).await?;
    await_count(&mut connection, ENDED, count).await?;
    let took = "select extract(epoch from max(finished_at) - $1)::float8 from forge_workflow_history";
    Ok(sqlx::query_scalar(took).bind(began).fetch_one(&mut connection).await?)
}

/// Seconds until a node is ready, and MiB that it takes when it is idle: medians.
async fn starts(database: &Database) -> (f64, f64) {
    let (mut took, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut node = start(database).await;
        took.push(began.elapsed().as_secs_f64());
        tokio::time::sleep(SETTLING).await;
        memory.push(resident(&mut node));
        node.stop(PATIENCE).await;
    }
    (median(took), median(memory))
}

fn resident(node: &mut Node) -> f64 {
    node.process().resident_bytes() as f64 / MIB
}

/// Looks seldom: each look counts rows.
async fn await_count(connection: &mut PgConnection, count: &str, wanted: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    while sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).fetch_one(&mut *connection).await?
        < i64::from(wanted)
    {
        anyhow::ensure!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {wanted} of `{count}`");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
