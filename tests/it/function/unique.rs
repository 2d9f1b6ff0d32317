//! Unique dispatches: one job for a key, whoever dispatches it.

use forge::prelude::*;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::stage::Stage;

/// One job for each task, until it is finished.
#[forge::job(queue = "unique", unique(by = task))]
async fn index(_ctx: &JobContext, task: u32, version: u32) -> Result<()> {
    std::hint::black_box((task, version));
    Ok(())
}

/// One job for each task in an hour, unless it fails.
#[forge::job(queue = "unique", unique(by = task, within = "1h"))]
async fn remind(_ctx: &JobContext, task: u32) -> Result<()> {
    std::hint::black_box(task);
    Ok(())
}

/// One job for each task in an hour, whatever becomes of it.
#[forge::job(queue = "unique", throttle(by = task, per = "1h"))]
async fn ping(_ctx: &JobContext, task: u32) -> Result<()> {
    std::hint::black_box(task);
    Ok(())
}

/// Runs a minute after the last dispatch, with its arguments.
#[forge::job(queue = "unique", debounce(by = task, wait = "1m", max = "5m"))]
async fn save(_ctx: &JobContext, task: u32, version: u32) -> Result<()> {
    std::hint::black_box((task, version));
    Ok(())
}

/// Has no rule of its own.
#[forge::job(queue = "unique")]
async fn charge(_ctx: &JobContext, order: u32) -> Result<()> {
    std::hint::black_box(order);
    Ok(())
}

#[forge::mutation(public)]
async fn dispatch_index(ctx: &MutationContext, task: u32, version: u32) -> Result<DispatchOutcome> {
    ctx.dispatch(Index { task, version }).outcome().await
}

#[forge::mutation(public)]
async fn dispatch_remind(ctx: &MutationContext, task: u32) -> Result<DispatchOutcome> {
    ctx.dispatch(Remind { task }).outcome().await
}

#[forge::mutation(public)]
async fn dispatch_ping(ctx: &MutationContext, task: u32) -> Result<DispatchOutcome> {
    ctx.dispatch(Ping { task }).outcome().await
}

#[forge::mutation(public)]
async fn dispatch_save(ctx: &MutationContext, task: u32, version: u32) -> Result<DispatchOutcome> {
    ctx.dispatch(Save { task, version }).outcome().await
}

#[forge::action(public)]
async fn dispatch_charge(ctx: &ActionContext, order: u32) -> Result<DispatchOutcome> {
    ctx.dispatch(Charge { order }).key(&format!("order {order}")).outcome().await
}

/// Dispatches three jobs, two of which have the same key.
#[forge::mutation(public)]
async fn dispatch_three(ctx: &MutationContext) -> Result<Vec<JobId>> {
    ctx.dispatch_all([7, 8, 7].map(|task| Index { task, version: 1 })).await
}

async fn text(stage: &Stage, sql: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut stage.scratch.connect().await)
        .await
        .expect("reads")
}

async fn run(stage: &Stage, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut stage.scratch.connect().await)
        .await
        .expect("runs");
}

/// Moves all jobs into the history, with this status.
async fn finish_all(stage: &Stage, status: &str) {
    let sql = format!(
        "WITH gone AS (DELETE FROM forge_jobs RETURNING *)
         INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at, last_error)
         SELECT id, name, queue, priority, '{status}', 1, attempts_max, 1, args, created_at, 'x' FROM gone"
    );
    run(stage, &sql).await;
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("reads the answer")
}

async fn outcome<H: Handler>(stage: &Stage, message: H) -> DispatchOutcome {
    read(stage.call(message).await.expect("dispatches"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_dispatches_of_one_key_make_one_job() {
    let stage = Stage::migrated().await;
    let calls = (0..100).map(|version| outcome(&stage, DispatchIndex { task: 1, version }));
    let outcomes = futures::future::join_all(calls).await;
    let new = outcomes.iter().filter(|outcome| matches!(outcome, DispatchOutcome::New(_))).count();
    assert_eq!(new, 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| outcome.job() == outcomes[0].job()));
    assert_eq!(text(&stage, "SELECT count(*)::text FROM forge_jobs").await, "1");
    // A finished job is not found.
    finish_all(&stage, "completed").await;
    let next = outcome(&stage, DispatchIndex { task: 1, version: 0 }).await;
    assert!(matches!(next, DispatchOutcome::New(job) if job != outcomes[0].job()), "{next:?}");
    let ids = read::<Vec<JobId>>(stage.call(DispatchThree {}).await.expect("dispatches"));
    assert!(ids[0] == ids[2] && ids[0] != ids[1], "{ids:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_job_is_found_for_as_long_as_its_handler_says() {
    let stage = Stage::migrated().await;
    let first = outcome(&stage, DispatchRemind { task: 1 }).await;
    finish_all(&stage, "completed").await;
    let second = outcome(&stage, DispatchRemind { task: 1 }).await;
    assert_eq!(second, DispatchOutcome::Existing(first.job()), "it has succeeded within the hour");
    run(&stage, "UPDATE forge_job_keys SET expires_at = now() - interval '1 s'").await;
    let third = outcome(&stage, DispatchRemind { task: 1 }).await;
    assert!(matches!(third, DispatchOutcome::New(_)), "the hour is over: {third:?}");
    finish_all(&stage, "dead_letter").await;
    let fourth = outcome(&stage, DispatchRemind { task: 1 }).await;
    assert!(matches!(fourth, DispatchOutcome::New(_)), "one that failed is not found: {fourth:?}");

    let first = outcome(&stage, DispatchPing { task: 1 }).await;
    finish_all(&stage, "cancelled").await;
    let second = outcome(&stage, DispatchPing { task: 1 }).await;
    assert_eq!(second, DispatchOutcome::Existing(first.job()), "a throttle asks for no success");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debounced_job_waits_for_the_last_dispatch_and_runs_with_its_arguments() {
    let stage = Stage::migrated().await;
    let first = outcome(&stage, DispatchSave { task: 1, version: 1 }).await;
    run(&stage, "UPDATE forge_jobs SET run_at = now() + interval '3 s'").await;
    let second = outcome(&stage, DispatchSave { task: 1, version: 2 }).await;
    assert_eq!(second, DispatchOutcome::Deferred(first.job()));
    let shown = "SELECT (args ->> 'version') || ' ' || round(extract(epoch FROM run_at - now())) || ' ' || ready FROM forge_jobs";
    assert_eq!(text(&stage, shown).await, "2 60 false");
    // The first dispatch is four and a half minutes old: the last one defers the run by half a minute.
    run(&stage, "UPDATE forge_jobs SET created_at = now() - interval '270 s'").await;
    outcome(&stage, DispatchSave { task: 1, version: 3 }).await;
    assert_eq!(text(&stage, shown).await, "3 30 false");
    // One that has begun is not changed.
    run(&stage, "UPDATE forge_jobs SET status = 'running', ready = true, attempt = 1, claim = 1, node_id = id, lease_until = now()").await;
    let last = outcome(&stage, DispatchSave { task: 1, version: 4 }).await;
    assert!(matches!(last, DispatchOutcome::New(job) if job != first.job()), "{last:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_names_a_key_of_its_own() {
    let stage = Stage::migrated().await;
    let first = outcome(&stage, DispatchCharge { order: 1 }).await;
    let second = outcome(&stage, DispatchCharge { order: 1 }).await;
    assert_eq!(second, DispatchOutcome::Existing(first.job()));
    assert!(matches!(outcome(&stage, DispatchCharge { order: 2 }).await, DispatchOutcome::New(_)));
    assert_eq!(
        text(&stage, "SELECT string_agg(key, ' ' ORDER BY key) FROM forge_job_keys").await,
        r#"unique:unique.charge/key:"order 1" unique:unique.charge/key:"order 2""#
    );
    stage.close().await;
}
