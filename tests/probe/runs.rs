//! Workflows that do nothing or wait, and actions that start many of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use forge::prelude::*;
use futures::future::{Either, select, try_join_all};
use tokio::sync::oneshot;

/// Between two looks which of the runs that have returned have ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Runs of [`steps`] that have returned: their ends are being written. Asking for these alone costs the
/// server less than asking for all runs that are in flight.
static RETURNED: Mutex<Vec<RunId>> = Mutex::new(Vec::new());

/// Steps that do nothing.
#[forge::workflow]
pub async fn steps(ctx: &WorkflowContext, count: u32) -> Result<()> {
    for _ in 0..count {
        ctx.step("nothing", || async { Ok(()) }).await?;
    }
    RETURNED.lock().unwrap_or_else(PoisonError::into_inner).push(ctx.run_id());
    Ok(())
}

/// How many microseconds after `started` the first step began, and each further one after the one before.
#[forge::workflow]
pub async fn timed(ctx: &WorkflowContext, started: i64, count: u32) -> Result<Vec<i64>> {
    let (mut times, mut last) = (Vec::new(), started);
    for _ in 0..count {
        let began = ctx.step("look", || async { Ok(micros()) }).await?;
        times.push(began - last);
        last = began;
    }
    Ok(times)
}

/// Sleeps.
#[forge::workflow]
pub async fn nap(ctx: &WorkflowContext, secs: u64) -> Result<()> {
    ctx.sleep(Duration::from_secs(secs)).await;
    Ok(())
}

/// Starts a run that measures its steps.
#[forge::action]
pub async fn start_timed(ctx: &ActionContext, count: u32) -> Result<RunId> {
    ctx.start(Timed { started: micros(), count }).await
}

/// Starts so many runs that sleep.
#[forge::action(timeout = "5m")]
pub async fn start_naps(ctx: &ActionContext, count: u32, secs: u64) -> Result<()> {
    let started = AtomicU32::new(0);
    let starter = || async {
        while started.fetch_add(1, Ordering::Relaxed) < count {
            ctx.start(Nap { secs }).await?;
        }
        Ok::<(), Fault>(())
    };
    try_join_all((0..100).map(|_| starter())).await?;
    Ok(())
}

/// Executes `runs` runs of so many steps, of which `in_flight` are started and have not ended at any time.
/// Answers how many microseconds that took.
#[forge::action(timeout = "5m")]
pub async fn drive(ctx: &ActionContext, runs: u32, steps: u32, in_flight: u32) -> Result<i64> {
    let began = Instant::now();
    let (started, waiting) = (AtomicU32::new(0), Mutex::new(HashMap::new()));
    let client = || async {
        while started.fetch_add(1, Ordering::Relaxed) < runs {
            let run = ctx.start(Steps { count: steps }).await?;
            let (end, ended) = oneshot::channel();
            waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(run, end);
            ended.await.map_err(Fault::internal)?;
        }
        Ok::<(), Fault>(())
    };
    let clients = try_join_all((0..in_flight).map(|_| client()));
    let watcher = watch(ctx, &waiting);
    match select(Box::pin(clients), Box::pin(watcher)).await {
        Either::Left((done, _)) => drop(done?),
        Either::Right((failed, _)) => failed?,
    }
    Ok(began.elapsed().as_micros() as i64)
}

/// Tells clients that their runs have ended, until it fails.
async fn watch(ctx: &ActionContext, waiting: &Mutex<HashMap<RunId, oneshot::Sender<()>>>) -> Result<()> {
    let mut returned = Vec::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        returned.append(&mut RETURNED.lock().unwrap_or_else(PoisonError::into_inner));
        if returned.is_empty() {
            continue;
        }
        let ended = ctx.call(Ended { runs: returned.clone() }).await?;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for run in ended {
            // A client whose start was not answered yet is notified at the next look.
            if let Some(client) = waiting.remove(&run) {
                returned.retain(|known| *known != run);
                let _gone = client.send(());
            }
        }
    }
}

/// Which of these runs have ended.
#[forge::query(internal)]
pub async fn ended(ctx: &QueryContext, runs: Vec<RunId>) -> Result<Vec<RunId>> {
    // By the primary key, whatever the planner believes of a table that grows.
    let find = "select id from unnest($1::uuid[]) run (id)
        where (select true from forge_workflow_history ended where ended.id = run.id)";
    Ok(sqlx::query_scalar(find).bind(runs).fetch_all(ctx.db()).await?)
}

/// Microseconds since 1970 by the machine's clock.
fn micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
