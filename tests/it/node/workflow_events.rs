//! Events, signals and requests to cancel that race with what runs do by themselves: each is taken once, and
//! each run ends in one way.

use forge_actors::test_signals::Step;
use forge_tests::{Database, Node, Signals};
use futures::future::join;
use serde_json::{Value, json};
use uuid::Uuid;

use super::jobs::LONG;
use super::stage::PATIENCE;
use super::workflow_audit::{
    all_ended, await_count, count, ends, flow, flow_node, journals_are_right, size, start_sagas,
};

/// As `forge.cancelWorkflow` does.
const REQUEST_CANCEL: &str = include_str!("../../../forge-actors/src/workflow/sql/request_cancel.sql");
/// A time limit that is not reached.
const NEVER_MS: u32 = 600_000;

/// Rings bells from two nodes at once; each bell rings once.
async fn ring(nodes: &[Node; 2], first: u32, count: u32, after_ms: u32) {
    let bells = json!({ "first": first, "count": count, "afterMs": after_ms });
    join(flow(&nodes[0], "ring", bells.clone()), flow(&nodes[1], "ring", bells)).await;
}

async fn start_waiters(nodes: &[Node; 2], first: u32, count: u32, limit_ms: u32, before_ms: u32) {
    let waiters = json!({ "first": first, "count": count, "limitMs": limit_ms, "beforeMs": before_ms });
    flow(&nodes[0], "start_waiters", waiters).await;
}

#[tokio::test]
async fn each_event_is_taken_once_whenever_it_comes() {
    let (database, each) = (Database::create().await, size(50, 250));
    let nodes =
        [flow_node(&database, "one", "").start().await, flow_node(&database, "other", "").start().await];
    // Events that come before their runs wait.
    start_waiters(&nodes, 0, each, NEVER_MS, 300).await;
    ring(&nodes, 0, each, 0).await;
    // Those that come when their runs have left memory.
    start_waiters(&nodes, each, each, NEVER_MS, 0).await;
    let waiting = "forge_workflow_runs where status = 'waiting'";
    await_count(&database, waiting, i64::from(each), LONG).await;
    ring(&nodes, each, each, 0).await;
    // Those that come when the time limit passes.
    for part in 0..each.div_ceil(10) {
        let first = 2 * each + 10 * part;
        start_waiters(&nodes, first, 10, 150, 0).await;
        ring(&nodes, first, 10, 100 + 20 * (part % 10)).await;
    }
    signals_are_taken_in_their_order(&database, &nodes, each).await;
    all_ended(&database, LONG).await;
    let waiters = i64::from(2 * each + 10 * each.div_ceil(10));
    let expected =
        [format!("flows.listener completed: {each}"), format!("flows.waiter completed: {waiters}")];
    assert_eq!(ends(&database).await, expected);
    assert_eq!(count(&database, "forge_workflow_events where event = 'flows.rung'").await, waiters);
    let taken = "forge_workflow_steps where kind = 'event' and event_id is not null";
    assert_eq!(count(&database, taken).await, waiters);
    assert_eq!(
        count(&database, &format!("(select distinct event_id from {taken}) as events")).await,
        waiters
    );
    let in_time = |from: u32, to: u32| {
        format!(
            "forge_workflow_history where workflow = 'flows.waiter' and output::text = 'true'
             and (input ->> 'bell')::int between {from} and {to} - 1"
        )
    };
    assert_eq!(count(&database, &in_time(0, 2 * each)).await, i64::from(2 * each));
    let raced = count(&database, &in_time(2 * each, u32::MAX / 4)).await;
    println!("{raced} of {} events came before the time limit", waiters - i64::from(2 * each));
    let unrouted =
        || async { (count(&database, "forge_workflow_events where not routed").await == 0).then_some(()) };
    forge_tests::until("all events are routed", PATIENCE, unrouted).await;
    for node in nodes {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

/// Two signals to each run, each sent by both nodes.
async fn signals_are_taken_in_their_order(database: &Database, nodes: &[Node; 2], count: u32) {
    let runs = flow(&nodes[0], "start_listeners", json!({ "count": count })).await;
    for n in [1, 2] {
        let signals = json!({ "runs": runs, "n": n });
        let sent: (Value, Value) =
            join(flow(&nodes[0], "nudge", signals.clone()), flow(&nodes[1], "nudge", signals)).await;
        assert_eq!(sent, (Value::Null, Value::Null));
    }
    let right = "forge_workflow_history where workflow = 'flows.listener' and output::jsonb = '[1, 2]'";
    await_count(database, right, i64::from(count), LONG).await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_it_completes_ends_in_one_way() {
    const WAVES: u32 = 10;
    const STEPS: u32 = 3;
    let (database, runs) = (Database::create().await, size(100, 500));
    let nodes =
        [flow_node(&database, "one", "").start().await, flow_node(&database, "other", "").start().await];
    start_waiters(&nodes, 0, 10, NEVER_MS, 0).await;
    await_count(&database, "forge_workflow_runs where status = 'waiting'", 10, PATIENCE).await;
    let before: Vec<Uuid> = database.column("select id from forge_workflow_runs").await;
    let mut session = database.connect().await;
    // Those of the first wave are cancelled after a few steps, those of the last one when they complete.
    for wave in 1..=WAVES {
        let started = start_sagas(&nodes[0], runs / WAVES, STEPS, 20).await;
        let started: Vec<Uuid> = serde_json::from_value(started).expect("a list of ids");
        let ids = started.iter().map(Uuid::to_string).collect::<Vec<_>>().join("', '");
        let recorded = format!(
            "forge_workflow_steps where kind = 'call' and status = 'completed' and run_id in ('{ids}')"
        );
        await_count(&database, &recorded, i64::from(runs / WAVES * STEPS * wave / WAVES), LONG).await;
        let cancel = sqlx::query(REQUEST_CANCEL).bind(started).bind(None::<&str>);
        cancel.execute(&mut session).await.expect("the runs can be locked");
    }
    let cancel = sqlx::query(REQUEST_CANCEL).bind(&before).bind(None::<&str>);
    cancel.execute(&mut session).await.expect("the runs can be locked");
    all_ended(&database, LONG).await;
    let ended = ends(&database).await;
    println!("{ended:?}");
    let of_saga =
        "forge_workflow_history where workflow = 'flows.saga' and status in ('completed', 'cancelled')";
    assert_eq!(count(&database, of_saga).await, i64::from(runs), "{ended:?}");
    assert_eq!(ended.last().map(String::as_str), Some("flows.waiter cancelled: 10"), "{ended:?}");
    journals_are_right(&database, &[]).await;
    for node in nodes {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

#[tokio::test]
async fn an_event_that_comes_while_its_run_leaves_is_received() {
    let database = Database::create().await;
    let signals = Signals::new();
    let hold = signals.hold(Step::WorkflowLeaving, "flows.waiter");
    let node = flow_node(&database, "one", "").signals(&signals).start().await;
    let waiter = json!({ "first": 1, "count": 1, "limitMs": NEVER_MS, "beforeMs": 0 });
    flow(&node, "start_waiters", waiter).await;
    // The waits of the run have looked last, and how it leaves is not written yet.
    signals.reached(Step::WorkflowLeaving, "flows.waiter", 1).await;
    flow(&node, "ring", json!({ "first": 1, "count": 1, "afterMs": 0 })).await;
    await_count(&database, "forge_workflow_runs where wakes = 1", 1, PATIENCE).await;
    // The node reads what has come for its runs with each renewal of its lease.
    let renewal = "select renewed_at::text from forge_workflow_owners";
    for _ in 0..2 {
        let before: String = database.value(renewal).await;
        let renewed = || async { (database.value::<String>(renewal).await != before).then_some(()) };
        forge_tests::until("the lease is renewed", PATIENCE, renewed).await;
    }
    drop(hold);
    all_ended(&database, PATIENCE).await;
    assert_eq!(ends(&database).await, ["flows.waiter completed: 1"]);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
