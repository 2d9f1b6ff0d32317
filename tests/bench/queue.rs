//! What Forge's jobs are compared with: a table, batches, and nothing else. No fences, leases, retries,
//! history, metrics or traces.

use std::time::{Duration, Instant};

use anyhow::Context;
use forge_tests::Database;
use sqlx::Executor;
use sqlx::postgres::{PgConnection, PgListener};
use tokio::task::JoinSet;

/// Rows of one statement.
const BATCH: i64 = 100;
/// Connections that drain at the same time: as many as reach the limit of two cores.
const CONNECTIONS: usize = 2;

const TABLE: &str = "
    create table bare_jobs (
        id       uuid        primary key,
        queue    text        not null,
        priority int2        not null,
        waiting  bool        not null default true,
        run_at   timestamptz not null,
        args     json        not null
    ) with (fillfactor = 70);
    create index on bare_jobs (queue, priority desc, run_at, id) where waiting";

/// At most once: what was taken and not run is lost.
const POP: &str = "
    delete from bare_jobs where id in (
        select id from bare_jobs where queue = 'quick' and waiting order by priority desc, run_at, id limit $1 for update skip locked
    ) returning id, args::text";

/// Two commits for each batch: taken, and done. Rows are kept.
const CLAIM: &str = "
    update bare_jobs set waiting = false where id in (
        select id from bare_jobs where queue = 'quick' and waiting order by priority desc, run_at, id limit $1 for update skip locked
    ) returning id, args::text";
const FINISH: &str = "update bare_jobs set args = '{\"done\": true}' where id = any ($1)";

/// How a bare loop takes its jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One statement deletes them.
    Pop,
    /// One claims them, another one marks them as done.
    ClaimAndKeep,
}

pub(crate) async fn create(database: &Database) {
    database.execute(TABLE).await;
}

/// Jobs a second, of `jobs` that wait.
pub(crate) async fn drain(database: &Database, jobs: u32, style: Style) -> anyhow::Result<f64> {
    database.execute("truncate bare_jobs").await;
    let insert = format!(
        "insert into bare_jobs (id, queue, priority, run_at, args)
         select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'quick', 50, now(), json_build_object('n', n) from generate_series(1, {jobs}) n"
    );
    database.execute(&insert).await;
    database.execute("analyze bare_jobs").await;
    database.execute("checkpoint").await;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(database.connect().await);
    }
    let (started, mut loops) = (Instant::now(), JoinSet::new());
    for connection in connections {
        loops.spawn(take_all(connection, style));
    }
    let mut ran = 0;
    while let Some(taken) = loops.join_next().await {
        ran += taken??;
    }
    anyhow::ensure!(ran == u64::from(jobs), "{ran} of {jobs} jobs were run");
    Ok(f64::from(jobs) / started.elapsed().as_secs_f64())
}

async fn take_all(mut connection: PgConnection, style: Style) -> anyhow::Result<u64> {
    let take = if style == Style::Pop { POP } else { CLAIM };
    let mut ran = 0;
    loop {
        let taken: Vec<(uuid::Uuid, String)> =
            sqlx::query_as(take).bind(BATCH).fetch_all(&mut connection).await?;
        if taken.is_empty() {
            return Ok(ran);
        }
        for (_, args) in &taken {
            let args: serde_json::Value = serde_json::from_str(args)?;
            anyhow::ensure!(args["n"].is_i64(), "a job without its number");
            ran += 1;
        }
        if style == Style::ClaimAndKeep {
            let ids: Vec<_> = taken.into_iter().map(|(id, _)| id).collect();
            sqlx::query(FINISH).bind(ids).execute(&mut connection).await?;
        }
    }
}

/// Milliseconds from the begin of an insert that notifies to the row in the hands of whoever listens:
/// ascending.
pub(crate) async fn latencies(
    database: &Database,
    count: usize,
    pause: Duration,
) -> anyhow::Result<Vec<f64>> {
    database.execute("truncate bare_jobs").await;
    let mut listener = PgListener::connect(database.url()).await?;
    listener.listen("bare_jobs").await?;
    let (mut writer, mut taker) = (database.connect().await, database.connect().await);
    let mut took = Vec::new();
    for n in 0..count {
        let began = Instant::now();
        let insert = format!(
            "begin; insert into bare_jobs values ('{}', 'quick', 50, true, now(), '{{\"n\": {n}}}'); notify bare_jobs; commit",
            uuid::Uuid::now_v7()
        );
        writer.execute(sqlx::AssertSqlSafe(insert)).await?;
        listener.recv().await?;
        let taken: Vec<(uuid::Uuid, String)> = sqlx::query_as(POP).bind(BATCH).fetch_all(&mut taker).await?;
        taken.first().context("who listens finds a row")?;
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(pause).await;
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}
