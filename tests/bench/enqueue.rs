//! What a dispatch costs beside the commit of one row, singly, from ten writers, and a thousand at a time; on
//! the same Postgres, in alternating rounds.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::json;
use sqlx::{Executor, PgConnection};

use crate::goal::{Goal, median};
use crate::queue;
use crate::stage::Stage;

const ROUNDS: usize = 5;
/// Dispatches of one writer in a round.
const EACH: u32 = 1_500;
/// Thousands of jobs in a round.
const THOUSANDS: u32 = 40;

/// Bare rows are in the index of what waits, as each row of forge_jobs is in such an index.
const INSERT: &str = "insert into bare_jobs (id, queue, priority, waiting, run_at, args)
    values (gen_random_uuid(), 'never', 50, true, now(), '{\"number\": 7}')";
const INSERT_MANY: &str = "insert into bare_jobs (id, queue, priority, waiting, run_at, args)
    select id, 'never', 50, true, now(), args::json from unnest($1::uuid[], $2::text[]) as row (id, args)";

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let stage = Stage::set().await;
    queue::create(&stage.database).await;
    let (mut singly, mut concurrent, mut bulk) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        stage.database.execute("truncate forge_jobs, bare_jobs").await;
        let bare = [bare_rate(&stage, 1).await?, bare_rate(&stage, 8).await?, bare_bulk(&stage).await?];
        let forge = [
            forge_rate(&stage, 1, EACH).await,
            forge_rate(&stage, 10, EACH / 2).await,
            forge_bulk(&stage).await,
        ];
        if round == 0 {
            // Pools and plans.
            continue;
        }
        println!(
            "enqueue: {forge:.0?} jobs/s singly, from 10 writers, in thousands; bare rows/s, 1 and 8 connections, in thousands: {bare:.0?}"
        );
        singly.push(forge[0] / bare[0]);
        concurrent.push(forge[1] / bare[1]);
        bulk.push(forge[2] / bare[2]);
    }
    Ok(vec![
        Goal::at_least("dispatches/s one by one / commits of one row", median(singly), "", 0.75),
        Goal::at_least(
            "dispatches/s of 10 writers / commits of one row, 8 connections",
            median(concurrent),
            "",
            0.6,
        ),
        Goal::at_least("dispatches/s in thousands / bare insert of a thousand rows", median(bulk), "", 0.8),
    ])
}

fn rate(count: f64, took: Duration) -> f64 {
    count / took.as_secs_f64()
}

async fn bare_rate(stage: &Stage, connections: u32) -> anyhow::Result<f64> {
    let mut open: Vec<PgConnection> = Vec::new();
    for _ in 0..connections {
        open.push(stage.database.connect().await);
    }
    let began = Instant::now();
    let writer = |mut connection: PgConnection| async move {
        for _ in 0..EACH {
            connection.execute(sqlx::query(INSERT)).await?;
        }
        anyhow::Ok(())
    };
    try_join_all(open.into_iter().map(writer)).await?;
    Ok(rate(f64::from(EACH * connections), began.elapsed()))
}

async fn bare_bulk(stage: &Stage) -> anyhow::Result<f64> {
    let mut connection = stage.database.connect().await;
    let began = Instant::now();
    for _ in 0..THOUSANDS {
        let ids: Vec<uuid::Uuid> = (0..1_000).map(|_| uuid::Uuid::now_v7()).collect();
        let args: Vec<String> = (0..1_000).map(|number| format!("{{\"number\":{number}}}")).collect();
        connection.execute(sqlx::query(INSERT_MANY).bind(ids).bind(args)).await?;
    }
    Ok(rate(f64::from(THOUSANDS * 1_000), began.elapsed()))
}

async fn forge_rate(stage: &Stage, writers: u32, each: u32) -> f64 {
    let arguments = json!({ "writers": writers, "each": each });
    let reply = stage.node.call("limits.enqueue_singly", arguments, Some(&stage.token)).await;
    rate(f64::from(writers * each), took(&reply.data()))
}

async fn forge_bulk(stage: &Stage) -> f64 {
    let reply =
        stage.node.call("limits.enqueue_bulk", json!({ "thousands": THOUSANDS }), Some(&stage.token)).await;
    rate(f64::from(THOUSANDS * 1_000), took(&reply.data()))
}

fn took(micros: &serde_json::Value) -> Duration {
    Duration::from_micros(micros.as_u64().expect("microseconds"))
}
