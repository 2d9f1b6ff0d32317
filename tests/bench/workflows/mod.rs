//! Runs of workflows whose steps do nothing, against commits of one row on the same Postgres; a lone run; and
//! what sleeping runs cost.

mod sleepers;

use std::time::{Duration, Instant};

use forge_tests::{cpu_time_of, cpu_time_of_family};
use futures::future::try_join_all;
use serde_json::json;
use sqlx::{Executor, PgConnection};

use crate::goal::{Goal, median, percentile};
use crate::stage::Stage;

/// Measured rounds; one before them is not counted.
const ROUNDS: usize = 5;
/// Commits of one connection in a round.
const COMMITS: u32 = 2_000;
/// Steps of a lone run.
const LONE_STEPS: u32 = 500;
/// Runs that measure their start, in each round, and the pause after each.
const STARTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks whether a lone run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

const TABLE: &str =
    "create table bare_rows (id int8 generated always as identity primary key, payload json not null)";
const INSERT: &str = "insert into bare_rows (payload) values ('{\"number\": 1}')";

const OUTPUT: &str = "select output::text from forge_workflow_history where id = $1";

/// Runs that are executed at the same time.
#[derive(Clone, Copy)]
struct Crowd {
    runs: u32,
    steps: u32,
    in_flight: u32,
}

const TEN_STEPS: Crowd = Crowd { runs: 3_000, steps: 10, in_flight: 50 };
const TEN_STEPS_OF_MANY: Crowd = Crowd { runs: 4_000, steps: 10, in_flight: 200 };
const ONE_STEP: Crowd = Crowd { runs: 6_000, steps: 1, in_flight: 50 };

/// What the runs of a crowd have cost.
struct Cost {
    /// Runs a second.
    rate: f64,
    /// Microseconds of the server for each run.
    server: f64,
    /// Microseconds of the node for each run.
    node: f64,
}

/// The readings of one round.
struct Round {
    /// Milliseconds of one commit on one connection, ascending.
    commits: Vec<f64>,
    /// Commits a second on eight connections.
    bare: f64,
    ten: Cost,
    many: Cost,
    one: Cost,
    /// Milliseconds of a step of a lone run, ascending.
    steps: Vec<f64>,
    /// Milliseconds from a start to the first step of the run, ascending.
    starts: Vec<f64>,
}

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let mut goals = throughput().await?;
    goals.extend(sleepers::run().await?);
    Ok(goals)
}

async fn throughput() -> anyhow::Result<Vec<Goal>> {
    let mut stage = Stage::set().await;
    stage.database.execute(TABLE).await;
    let mut rounds = Vec::new();
    for number in 0..=ROUNDS {
        let round = measure(&mut stage).await?;
        if number == 0 {
            // Pools, plans and files that grow.
            continue;
        }
        print(&round);
        rounds.push(round);
    }
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    Ok(vec![
        Goal::at_least(
            "steps/s of 10-step runs, 50 in flight / commits of one row, 8 connections",
            of(|round| round.ten.rate * 10.0 / round.bare),
            "",
            2.0,
        ),
        Goal::at_least("the same, 200 in flight", of(|round| round.many.rate * 10.0 / round.bare), "", 3.0),
        Goal::at_least(
            "1-step runs/s, 50 in flight / commits of one row, 8 connections",
            of(|round| round.one.rate / round.bare),
            "",
            0.5,
        ),
        Goal::at_most(
            "step of a lone run / commit of one row, p50",
            of(|round| percentile(&round.steps, 50) / percentile(&round.commits, 50)),
            "",
            1.5,
        ),
        Goal::at_most(
            "step of a lone run, p99 / commit of one row, p50",
            of(|round| percentile(&round.steps, 99) / percentile(&round.commits, 50)),
            "",
            5.0,
        ),
        Goal::at_most(
            "start to first step of a lone run / commit of one row, p50",
            of(|round| percentile(&round.starts, 50) / percentile(&round.commits, 50)),
            "",
            5.0,
        ),
        Goal::at_most(
            "CPU of Postgres for a step, 200 in flight",
            of(|round| round.many.server / 10.0),
            " µs",
            60.0,
        ),
        Goal::at_most(
            "CPU of the node for a step, 200 in flight",
            of(|round| round.many.node / 10.0),
            " µs",
            60.0,
        ),
    ])
}

/// Prints the figures of a round.
fn print(round: &Round) {
    println!(
        "workflows: {:.0} and {:.0} steps/s of 10-step runs, {:.0} 1-step runs/s; {:.0} bare commits/s, \
         {:.2} ms one; lone step {:.2} and {:.2} ms, start {:.2} ms",
        round.ten.rate * 10.0,
        round.many.rate * 10.0,
        round.one.rate,
        round.bare,
        percentile(&round.commits, 50),
        percentile(&round.steps, 50),
        percentile(&round.steps, 99),
        percentile(&round.starts, 50),
    );
    for (what, cost) in
        [("10 steps, 50", &round.ten), ("10 steps, 200", &round.many), ("1 step, 50", &round.one)]
    {
        println!(
            "    {what} in flight: {:.0} µs of the server and {:.0} µs of the node a run",
            cost.server, cost.node
        );
    }
}

async fn measure(stage: &mut Stage) -> anyhow::Result<Round> {
    for upkeep in ["truncate forge_workflow_history, forge_workflow_steps, bare_rows", "checkpoint"] {
        stage.database.execute(upkeep).await;
    }
    let mut looker = stage.database.connect().await;
    let (commits, _) = bare(stage, 1).await?;
    let (_, bare) = bare(stage, 8).await?;
    let steps = lone(stage, &mut looker, LONE_STEPS).await?;
    Ok(Round {
        commits,
        bare,
        ten: drive(stage, TEN_STEPS).await?,
        many: drive(stage, TEN_STEPS_OF_MANY).await?,
        one: drive(stage, ONE_STEP).await?,
        // The first one has its start in it.
        steps: ascending(steps.into_iter().skip(1).collect()),
        starts: starts(stage, &mut looker).await?,
    })
}

/// Milliseconds of each commit, ascending, and commits a second.
async fn bare(stage: &Stage, connections: u32) -> anyhow::Result<(Vec<f64>, f64)> {
    let mut open: Vec<PgConnection> = Vec::new();
    for _ in 0..connections {
        open.push(stage.database.connect().await);
    }
    let began = Instant::now();
    let writer = |mut connection: PgConnection| async move {
        let mut took = Vec::new();
        for _ in 0..COMMITS {
            let began = Instant::now();
            connection.execute(sqlx::query(INSERT)).await?;
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        anyhow::Ok(took)
    };
    let took = try_join_all(open.into_iter().map(writer)).await?.concat();
    let rate = f64::from(COMMITS * connections) / began.elapsed().as_secs_f64();
    Ok((ascending(took), rate))
}

async fn drive(stage: &mut Stage, crowd: Crowd) -> anyhow::Result<Cost> {
    let Crowd { runs, steps, in_flight } = crowd;
    let pid = stage.node.process().pid();
    let cpu = || (cpu_time_of_family(stage.postgres.pid()), cpu_time_of(pid));
    let before = cpu();
    let arguments = json!({ "runs": runs, "steps": steps, "inFlight": in_flight });
    let took = stage.node.call("runs.drive", arguments, Some(&stage.token)).await.data();
    let after = cpu();
    let micros = took.as_f64().expect("microseconds");
    let per_run = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(runs);
    Ok(Cost {
        rate: f64::from(runs) * 1e6 / micros,
        server: per_run(after.0.saturating_sub(before.0)),
        node: per_run(after.1.saturating_sub(before.1)),
    })
}

/// Milliseconds from a start to the first step, and of each step after it.
async fn lone(stage: &Stage, looker: &mut PgConnection, steps: u32) -> anyhow::Result<Vec<f64>> {
    let run = stage.node.call("runs.start_timed", json!({ "count": steps }), Some(&stage.token)).await.data();
    let run: uuid::Uuid = serde_json::from_value(run)?;
    let began = Instant::now();
    let output: String = loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(output) = sqlx::query_scalar(OUTPUT).bind(run).fetch_optional(&mut *looker).await? {
            break output;
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "a lone run has not ended after {PATIENCE:?}");
    };
    let micros: Vec<f64> = serde_json::from_str(&output)?;
    Ok(micros.into_iter().map(|micros| micros / 1_000.0).collect())
}

/// Milliseconds from a start to the first step, ascending.
async fn starts(stage: &Stage, looker: &mut PgConnection) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        took.push(lone(stage, looker, 1).await?[0]);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(ascending(took))
}

fn ascending(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
