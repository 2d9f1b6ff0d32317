//! Jobs that are drained while others are written: the tables that they pass through, and claims, in the
//! beginning and at the end.

use std::time::{Duration, Instant};

use forge_tests::Database;
use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::Executor;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;

use super::claim_log::ClaimLog;
use super::hot_tables::{self, HotTables};
use super::{completed, stage};
use crate::drain::drained;
use crate::goal::{Goal, percentile};
use crate::stage::Stage;

/// Jobs of one transaction.
const BATCH: u64 = 50_000;
/// So many jobs wait at most.
const WAITING_MAX: u64 = 150_000;
/// Between two looks at the node's counter, and at the tables.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const SAMPLE_EVERY: Duration = Duration::from_secs(3);
/// Without any job completed.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn run(jobs: u64) -> anyhow::Result<Vec<Goal>> {
    let stage = stage().await;
    let (done, seen) = watch::channel(0);
    let ((), watched) = tokio::try_join!(feed(&stage, jobs, seen), observe(&stage, jobs, done))?;
    let mut connection = stage.database.connect().await;
    drained(&mut connection).await?;
    println!("churn: in the end {}", hot_tables::parts(&mut connection).await?);
    let Churn { halves: [early, late], claims: [fresh, last], rates } = watched;
    let claim = |of: &[f64]| {
        format!("{:.1} ms p50, {:.1} ms p99 of {}", percentile(of, 50), percentile(of, 99), of.len())
    };
    println!("churn: claims of the first tenth {}; of the last {}", claim(&fresh), claim(&last));
    println!(
        "churn: {:.0} jobs/s in the first tenth, {:.0}/s in the last, {:.2} ×",
        rates[0],
        rates[1],
        rates[1] / rates[0]
    );
    println!(
        "churn: at most {:.0} MiB and {:.0} dead rows in the first half, {:.0} MiB and {:.0} dead rows in the second",
        early.mib(),
        early.dead,
        late.mib(),
        late.dead
    );
    Ok(vec![
        Goal::at_most(
            format!("largest size of the hot tables in {jobs} jobs, second half / first"),
            late.bytes / early.bytes,
            "×",
            1.5,
        ),
        Goal::at_most("most dead rows in them, second half / first", late.dead / early.dead, "×", 1.5),
        Goal::at_most(
            "claim, p99, last tenth / first",
            percentile(&last, 99) / percentile(&fresh, 99),
            "×",
            3.0,
        ),
    ])
}

/// Writes jobs as fast as they are completed.
async fn feed(stage: &Stage, jobs: u64, mut done: watch::Receiver<u64>) -> anyhow::Result<()> {
    let mut connection = stage.database.connect().await;
    let mut fed = 0;
    while fed < jobs {
        let batch = BATCH.min(jobs - fed);
        done.wait_for(|done| fed + batch <= done + WAITING_MAX).await?;
        // The last one is dispatched, which wakes the workers for the others.
        insert(&mut connection, fed, batch - 1).await?;
        stage.node.call("jobs.enqueue_quick", json!({ "n": fed }), Some(&stage.token)).await.data();
        if fed == 0 {
            connection.execute("analyze forge_jobs").await?;
        }
        fed += batch;
    }
    Ok(())
}

/// Ids as a node makes them: the time in milliseconds, and a number.
async fn insert(connection: &mut PgConnection, from: u64, count: u64) -> anyhow::Result<()> {
    let insert = format!(
        "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
         select (lpad(to_hex((extract(epoch from now()) * 1000)::int8), 12, '0')
                 || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
                'jobs.quick', 'quick', 50, 10, true, now(), json_build_object('n', n), true
         from generate_series({}, {}) n",
        from + 1,
        from + count
    );
    connection.execute(AssertSqlSafe(insert)).await?;
    Ok(())
}

/// What has come of the jobs.
struct Churn {
    /// The largest figures of the first and of the second half of the jobs.
    halves: [HotTables; 2],
    /// Milliseconds of the claims of the first and of the last tenth.
    claims: [Vec<f64>; 2],
    /// Jobs a second of both.
    rates: [f64; 2],
}

/// Follows the jobs to the last one, and tells `done` how many are completed.
async fn observe(stage: &Stage, jobs: u64, done: watch::Sender<u64>) -> anyhow::Result<Churn> {
    let database: &Database = &stage.database;
    let mut connection = database.connect().await;
    let mut halves = [HotTables::default(); 2];
    let (mut claims, mut rates) = (Vec::new(), Vec::new());
    for (until, is_tenth) in [(jobs / 10, true), (jobs / 2, false), (jobs / 10 * 9, false), (jobs, true)] {
        let log = if is_tenth { Some(ClaimLog::begin(stage, &mut connection).await?) } else { None };
        let (began, before) = (Instant::now(), *done.borrow());
        let half = &mut halves[usize::from(until > jobs / 2)];
        *half = half.max(part(stage, &mut connection, until, &done).await?);
        if let Some(log) = log {
            rates.push((*done.borrow() - before) as f64 / began.elapsed().as_secs_f64());
            claims.push(log.end(&mut connection).await?);
        }
    }
    let both = "there are two tenths";
    Ok(Churn { halves, claims: claims.try_into().expect(both), rates: rates.try_into().expect(both) })
}

/// Waits until so many jobs are completed. The largest figures meanwhile.
async fn part(
    stage: &Stage,
    connection: &mut PgConnection,
    until: u64,
    done: &watch::Sender<u64>,
) -> anyhow::Result<HotTables> {
    let (mut largest, mut moved, mut sampled) =
        (HotTables::read(connection).await?, Instant::now(), Instant::now());
    while *done.borrow() < until {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = completed(stage).await?;
        if done.send_replace(now) < now {
            moved = Instant::now();
        }
        anyhow::ensure!(moved.elapsed() < PATIENCE, "no job is completed for {PATIENCE:?}");
        if sampled.elapsed() >= SAMPLE_EVERY {
            sampled = Instant::now();
            largest = largest.max(HotTables::read(connection).await?);
        }
    }
    let end = HotTables::read(connection).await?;
    println!(
        "churn: after {} jobs {:.0} MiB, {:.0} dead rows, {} vacuums",
        *done.borrow(),
        end.mib(),
        end.dead,
        end.vacuums
    );
    Ok(largest.max(end))
}
