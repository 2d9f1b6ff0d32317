//! What the capture of changes costs those who write: updates by primary key with and without it, in one run,
//! while a tail polls every 5 ms.
//!
//! Rounds alternate, and so does which side of a round goes first; the figure is the median of the rounds'
//! ratios. The writers are plain connections, one statement a transaction: the most that a trigger can weigh.
//! In a mutation it weighs less, beside BEGIN, COMMIT and the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use forge_actors::change::{Changed, Tail};
use forge_actors::db::config::{DatabaseConfig, DatabaseUrl};
use forge_actors::db::database::Database as Pools;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;
use forge_tests::{Database, PostgresProcess};
use tokio::task::JoinSet;

use crate::goal::{Goal, median};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
const ROWS: i32 = 64_000;
/// How often the tail polls: as often as a busy reactor.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let pools = Pools::new(DatabaseUrl::new(database.url()).options()?, DatabaseConfig::default(), "bench");
    let sets = system_sets();
    Runner { database: &pools, sets: &sets, node: "bench", lock_wait: Duration::from_secs(5) }
        .up(None, |_| {})
        .await?;
    // A fill factor that leaves space for new row versions, so that updates do not touch the index.
    database
        .execute("create table items (id int primary key, team int, n int, pad text) with (fillfactor = 50)")
        .await;
    database
        .execute(&format!(
            "insert into items select n, n % 64, 0, repeat('x', 60) from generate_series(1, {ROWS}) n"
        ))
        .await;
    database.execute("create index on items (team)").await;
    let looking = Arc::new(AtomicBool::new(true));
    let tail = tokio::spawn(look(pools.clone(), Arc::clone(&looking)));
    let mut goals = Vec::new();
    for (writers, goal) in [(8, 0.85), (32, 0.60)] {
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let (mut with, mut without) = (0.0, 0.0);
            for captured in [round % 2 == 0, round % 2 != 0] {
                let rate = measure(&database, writers, captured).await?;
                if captured { with = rate } else { without = rate }
            }
            println!(
                "tax: {writers} writers: {without:.0}/s without, {with:.0}/s with, ratio {:.2}",
                with / without
            );
            ratios.push(with / without);
        }
        goals.push(Goal::at_least(
            format!("updates/s with capture / without, {writers} writers"),
            median(ratios),
            "",
            goal,
        ));
    }
    looking.store(false, Ordering::Release);
    let (polls, changed) = tail.await??;
    println!("tax: the tail polled {polls} times, {changed} of them found changes");
    anyhow::ensure!(changed > 0, "the tail found no change: the capture was off");
    pools.close().await;
    Ok(goals)
}

/// Updates a second.
async fn measure(database: &Database, writers: usize, captured: bool) -> anyhow::Result<f64> {
    let switch = if captured { "forge_enable_reactivity" } else { "forge_disable_reactivity" };
    database.execute(&format!("select {switch}('items')")).await;
    for upkeep in ["truncate forge_changes", "vacuum analyze items", "checkpoint"] {
        database.execute(upkeep).await;
    }
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..writers {
        connections.push(database.connect().await);
    }
    let started = Instant::now();
    for (seed, mut connection) in connections.into_iter().enumerate() {
        let done = Arc::clone(&done);
        tasks.spawn(async move {
            let mut id = i32::try_from(seed)? * 1_999 + 1;
            while started.elapsed() < ROUND {
                // Steps through all rows without an order that an index would like.
                id = (id + 40_503) % ROWS;
                sqlx::query("update items set n = n + 1 where id = $1")
                    .bind(id + 1)
                    .execute(&mut connection)
                    .await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(writer) = tasks.join_next().await {
        writer?.context("a writer failed")?;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Polls until it is stopped. Returns the number of polls, and how many of them found changes.
async fn look(pools: Pools, looking: Arc<AtomicBool>) -> anyhow::Result<(u64, u64)> {
    let mut tail = Tail::new();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut polls, mut changed) = (0, 0);
    while looking.load(Ordering::Acquire) {
        ticks.tick().await;
        let batch = tail.read(&pools.reader()).await.map_err(anyhow::Error::new)?;
        polls += 1;
        changed += u64::from(matches!(batch.changed, Changed::Tables(tables) if !tables.is_empty()));
    }
    Ok((polls, changed))
}
