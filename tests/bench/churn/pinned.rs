//! Jobs at a steady pace, before and beside a session that holds an old snapshot: a backup, a report, a
//! forgotten psql. Dead rows stay as long, and claims meet them.

use std::time::{Duration, Instant};

use forge_tests::{Load, until};
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use super::hot_tables::{self, HotTables};
use super::{completed, stage};
use crate::goal::{Goal, percentile};
use crate::stage::Stage;

/// How long the pace is measured before, and in one part of the time with the old snapshot.
const PART: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(5);
const CONNECTIONS: u32 = 16;
/// Between two jobs that write down how soon they start.
const TIMED_EVERY: Duration = Duration::from_millis(100);
/// For jobs that wait when a part has ended.
const PATIENCE: Duration = Duration::from_secs(120);
/// For the vacuum after the snapshot is gone, which may come a minute later, and repeats for each table.
const VACUUM_PATIENCE: Duration = Duration::from_secs(300);

/// One part.
struct Paced {
    /// Jobs a second that were completed.
    rate: f64,
    took: Duration,
    /// Milliseconds from dispatch to start, in ascending order.
    starts: Vec<f64>,
}

pub(super) async fn run(duration: Duration, rate: u32) -> anyhow::Result<Vec<Goal>> {
    let stage = stage().await;
    let mut connection = stage.database.connect().await;
    paced(&stage, WARM_UP, rate, "warm-up").await?;
    let before = paced(&stage, PART.min(duration), rate, "before").await?;
    print("before", &before, HotTables::read(&mut connection).await?);
    let mut old = stage.database.connect().await;
    old.execute("begin isolation level repeatable read").await?;
    old.execute("select count(*) from forge_jobs").await?;
    let mut parts = Vec::new();
    let (mut left, began) = (duration, Instant::now());
    while !left.is_zero() {
        let name = format!("pinned-{}", parts.len());
        let part = paced(&stage, PART.min(left), rate, &name).await?;
        left = left.saturating_sub(PART);
        print(
            &format!("with a snapshot of {:.0} s", began.elapsed().as_secs_f64()),
            &part,
            HotTables::read(&mut connection).await?,
        );
        parts.push(part);
    }
    println!("churn: with the old snapshot {}", hot_tables::parts(&mut connection).await?);
    old.close().await?;
    released(&mut connection).await?;
    let completed: f64 = parts.iter().map(|part| part.rate * part.took.as_secs_f64()).sum();
    let seconds: f64 = parts.iter().map(|part| part.took.as_secs_f64()).sum();
    let last = parts.last().map_or(0.0, |part| part.rate);
    let name = |what: &str| format!("jobs/s of {rate} dispatched, {what} / before");
    Ok(vec![
        Goal::at_least(name("beside an old snapshot"), completed / seconds / before.rate, "×", 0.9),
        Goal::at_least(name("in its last minute"), last / before.rate, "×", 0.9),
    ])
}

fn print(when: &str, part: &Paced, tables: HotTables) {
    println!(
        "churn: {when}: {:.0} jobs/s; dispatch to start {:.1} ms p50, {:.1} ms p99; hot tables {:.0} MiB, {:.0} dead rows",
        part.rate,
        percentile(&part.starts, 50),
        percentile(&part.starts, 99),
        tables.mib(),
        tables.dead
    );
}

/// Dispatches `rate` jobs a second, each in a mutation of its own, and beside them some that say how soon
/// they start, in the same queue.
async fn paced(stage: &Stage, duration: Duration, rate: u32, name: &str) -> anyhow::Result<Paced> {
    let load = Load {
        address: stage.address(),
        request: Load::request("/rpc/jobs.enqueue_quick", r#"{"n":1}"#, Some(&stage.token)),
        connections: CONNECTIONS as usize,
        pace: Some(Duration::from_secs(1) * CONNECTIONS / rate),
        duration,
        status: 200,
    };
    let (began, earlier) = (Instant::now(), completed(stage).await?);
    let (measured, timed) = tokio::join!(load.run(), dispatch_timed(stage, duration, name));
    let (took, later) = (began.elapsed(), completed(stage).await?);
    anyhow::ensure!(measured.failures == 0, "{} dispatches failed", measured.failures);
    let started = format!(
        "select what::float8 / 1000 from probe_effects
         where key like '{name}-%' and what ~ '^[0-9]+$' order by 1"
    );
    let all =
        || async { Some(stage.database.column::<f64>(&started).await).filter(|found| found.len() == timed) };
    let starts = until("every timed job has said when it started", PATIENCE, all).await;
    Ok(Paced { rate: (later - earlier) as f64 / took.as_secs_f64(), took, starts })
}

/// How many jobs were dispatched.
async fn dispatch_timed(stage: &Stage, duration: Duration, name: &str) -> usize {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < duration {
        let args = json!({ "key": format!("{name}-{count}"), "queue": "quick" });
        stage.node.call("jobs.enqueue_timed", args, Some(&stage.token)).await.data();
        count += 1;
        tokio::time::sleep(TIMED_EVERY).await;
    }
    count
}

/// Says how soon the dead rows are removed, now that no snapshot needs them.
async fn released(connection: &mut PgConnection) -> anyhow::Result<()> {
    let (began, before) = (Instant::now(), HotTables::read(connection).await?);
    let mut now = before;
    while now.dead > before.dead / 10.0 && began.elapsed() < VACUUM_PATIENCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        now = HotTables::read(connection).await?;
    }
    println!(
        "churn: {:.0} of {:.0} dead rows {:.0} s after the snapshot was released, {:.0} MiB",
        now.dead,
        before.dead,
        began.elapsed().as_secs_f64(),
        now.mib()
    );
    Ok(())
}
