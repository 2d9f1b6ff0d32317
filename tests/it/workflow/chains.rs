//! Runs that go on as new ones: what came for them is not lost, and is received once.

use forge::prelude::*;
use forge_actors::dashboard::workflow_commands::CancelWorkflow;
use forge_tests::until;
use serde_json::json;

use super::operating::Withdraw;
use super::stage::Stage;

#[forge::event(name = "chains.letter", key = to)]
pub(super) struct Letter {
    pub to: u32,
    pub number: u32,
}

/// Receives one letter in each of its runs, until it has three.
#[forge::workflow(name = "chains.collector")]
pub(super) async fn collector(ctx: &WorkflowContext, to: u32, got: Vec<u32>) -> Result<Vec<u32>> {
    let letter = ctx.wait_for::<Letter>(to).await?;
    let got = [got, vec![letter.number]].concat();
    if got.len() < 3 {
        return ctx.continue_as_new(Collector { to, got });
    }
    Ok(got)
}

/// Starts a collector.
#[forge::mutation(internal)]
pub(super) async fn start_collector(ctx: &MutationContext, to: u32) -> Result<RunId> {
    ctx.start(Collector { to, got: Vec::new() }).await
}

#[forge::mutation(internal)]
pub(super) async fn write_to(ctx: &MutationContext, to: u32, number: u32) -> Result<bool> {
    ctx.emit(Letter { to, number }).await
}

/// Receives one signal in each of its runs, until it has three.
#[forge::workflow(name = "chains.listener")]
pub(super) async fn listener(ctx: &WorkflowContext, got: Vec<u32>) -> Result<Vec<u32>> {
    let letter = ctx.wait_for_signal::<Letter>().await?;
    let got = [got, vec![letter.number]].concat();
    if got.len() < 3 {
        return ctx.continue_as_new(Listener { got });
    }
    Ok(got)
}

#[forge::mutation(internal)]
pub(super) async fn start_listener(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Listener { got: Vec::new() }).await
}

/// Starts a listener with an id.
#[forge::mutation(internal)]
pub(super) async fn start_keyed(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Listener { got: Vec::new() }).id("listener").await
}

#[forge::mutation(internal)]
pub(super) async fn send(ctx: &MutationContext, run: RunId, number: u32) -> Result<bool> {
    ctx.signal(run, Letter { to: 0, number }).await
}

/// Starts a child that waits for a letter, goes on as a new run, and waits for another one.
#[forge::workflow(name = "chains.guardian")]
pub(super) async fn guardian(ctx: &WorkflowContext, has_child: bool) -> Result<u32> {
    if !has_child {
        ctx.start(Collector { to: 8, got: Vec::new() }).await?;
        return ctx.continue_as_new(Guardian { has_child: true });
    }
    Ok(ctx.wait_for::<Letter>(9).await?.number)
}

#[forge::mutation(internal)]
pub(super) async fn start_guardian(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Guardian { has_child: false }).await
}

/// What the last run of a chain has returned.
async fn collected(stage: &Stage) -> serde_json::Value {
    let last = "SELECT output::text FROM forge_workflow_history WHERE status = 'completed'";
    let found = until("the last run has ended", std::time::Duration::from_secs(20), || async {
        let found: Option<String> =
            sqlx::query_scalar(last).fetch_optional(&mut stage.scratch.connect().await).await.unwrap();
        found
    });
    serde_json::from_str(&found.await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_while_a_run_goes_on_as_a_new_one_are_each_received_once() {
    let stage = Stage::open().await;
    stage.call(WriteTo { to: 7, number: 0 }).await;
    // A run receives what is routed after it was started.
    until("it is routed", std::time::Duration::from_secs(20), || async {
        (stage.value::<i64>("SELECT count(*) FROM forge_workflow_events WHERE NOT routed").await == 0)
            .then_some(())
    })
    .await;
    let run = stage.started(StartCollector { to: 7 }).await;
    for number in [1, 2, 3] {
        stage.call(WriteTo { to: 7, number }).await;
    }
    assert_eq!(stage.ended(run).await.status, "continued");
    assert_eq!(collected(&stage).await, json!([1, 2, 3]), "not the one before the first run");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_remembers_too_many_events_forgets_the_oldest_and_what_came_before_them() {
    let stage = Stage::open().await;
    let run = stage.started(StartCollector { to: 7 }).await;
    stage.has_status(run, "waiting").await;
    // It is made to have received 1,000 others before the one that it gets now.
    let others = r#"INSERT INTO forge_workflow_events (event, key, payload, routed, routed_at)
                  SELECT 'chains.letter', '7', '{"to":7,"number":0}', true, clock_timestamp() - interval '1 minute'
                  FROM generate_series(1, 1000)"#;
    stage.execute(others).await;
    stage.execute("UPDATE forge_workflow_runs SET created_at = created_at - interval '1 hour'").await;
    let received = "UPDATE forge_workflow_runs
                    SET consumed = (SELECT array_agg(id) FROM forge_workflow_events)";
    stage.execute(received).await;
    stage.call(WriteTo { to: 7, number: 1 }).await;
    assert_eq!(stage.ended(run).await.status, "continued");
    let remembers = "SELECT cardinality(consumed) || ' ' || (events_from = (SELECT min(routed_at) FROM forge_workflow_events))
                     FROM forge_workflow_runs";
    // One more than it remembers: it looks from the time on at which the newest forgotten one was routed.
    assert_eq!(stage.value::<String>(remembers).await, "1001 true");
    for number in [2, 3] {
        stage.call(WriteTo { to: 7, number }).await;
    }
    assert_eq!(collected(&stage).await, json!([1, 2, 3]));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_beside_an_open_start_of_its_id_holds_no_connection_for_long() {
    let stage = Stage::open().await;
    let run = stage.started(StartKeyed {}).await;
    stage.has_status(run, "waiting").await;
    // As the transaction of a start with the same id, which is open for long.
    let mut start = stage.scratch.connect().await;
    sqlx::raw_sql("BEGIN; SELECT FROM forge_workflow_keys FOR UPDATE").execute(&mut start).await.unwrap();
    stage.call(Send { run, number: 1 }).await;
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for expected in [1, 0, 1, 0] {
        until("the lock is waited for in turns", std::time::Duration::from_secs(20), || async {
            (stage.value::<i64>(waits).await == expected).then_some(())
        })
        .await;
    }
    stage.has_status(run, "running").await;
    sqlx::raw_sql("COMMIT").execute(&mut start).await.unwrap();
    assert_eq!(stage.ended(run).await.status, "continued");
    let crashes = "SELECT max(crashes) FROM forge_workflow_runs";
    assert_eq!(stage.value::<i32>(crashes).await, 0);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_a_run_that_goes_on_end_with_the_new_one() {
    let stage = Stage::open().await;
    let first = stage.started(StartGuardian {}).await;
    assert_eq!(stage.ended(first).await.status, "continued");
    let of = "SELECT id FROM forge_workflow_runs WHERE workflow = ";
    let next: RunId = stage.value(&format!("{of} 'chains.guardian'")).await;
    let child: RunId = stage.value(&format!("{of} 'chains.collector'")).await;
    stage.has_status(child, "waiting").await;
    stage.call_in(None, CancelWorkflow { id: next, reason: None }).await.unwrap();
    assert_eq!(stage.ended(next).await.status, "cancelled");
    assert_eq!(stage.ended(child).await.status, "cancelled");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_to_a_run_that_has_gone_on_reach_the_run_that_it_is_now() {
    let stage = Stage::open().await;
    let first = stage.started(StartListener {}).await;
    stage.call(Send { run: first, number: 1 }).await;
    assert_eq!(stage.ended(first).await.status, "continued");
    for number in [2, 3] {
        stage.call(Send { run: first, number }).await;
    }
    assert_eq!(collected(&stage).await, json!([1, 2, 3]));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_gone_on_is_cancelled_by_its_first_id() {
    let stage = Stage::open().await;
    let first = stage.started(StartGuardian {}).await;
    assert_eq!(stage.ended(first).await.status, "continued");
    let next: RunId =
        stage.value("SELECT id FROM forge_workflow_runs WHERE workflow = 'chains.guardian'").await;
    let refused = stage.call_in(None, CancelWorkflow { id: first, reason: None }).await.unwrap_err();
    assert!(refused.message().contains(&format!("it goes on as {next}")), "{refused}");
    assert_eq!(stage.call(Withdraw { run: first, fails: false }).await, json!(true));
    assert_eq!(stage.ended(next).await.status, "cancelled");
    stage.close().await;
}
