//! Nodes that run workflows and are killed, wherever they are: other nodes go on from the journals.

use std::time::Instant;

use forge_actors::test_signals::Step;
use forge_tests::{Database, Node, Signal, Signals, until};
use serde_json::json;

use super::jobs::LONG;
use super::stage::PATIENCE;
use super::workflow_audit::{
    all_ended, await_count, await_executes, await_recorded, ends, flow, flow_node, journals_are_right,
    repeated, size, start_sagas,
};
use super::workflow_operations::json_of;

/// Where nodes are killed. The names are those of steps and workflows of `tests/probe/flows.rs`.
const POINTS: &[(Step, &str)] = &[
    (Step::WorkflowActivating, "flows.saga"),
    (Step::WorkflowStepStarting, "do 3"),
    (Step::WorkflowStepRan, "do 3"),
    (Step::WorkflowStepRecorded, "do 3"),
    (Step::WorkflowStepStarting, "put 2"),
    (Step::WorkflowStepRan, "tx 2"),
    (Step::WorkflowCompensating, "do 2"),
    (Step::WorkflowLeaving, "flows.waiter"),
    (Step::WorkflowLeaving, "flows.saga"),
    (Step::WorkflowStarting, "flows.saga"),
    (Step::WorkflowStarting, "flows.chain"),
];

async fn kill(node: &mut Node) {
    node.process().signal(Signal::KILL);
    node.process().ended(PATIENCE).await;
}

#[tokio::test]
async fn runs_end_rightly_whichever_step_their_nodes_are_killed_at() {
    let (database, scale) = (Database::create().await, size(2, 50));
    let kills = POINTS.len() as u32;
    for (bell, (step, key)) in (0..).zip(POINTS) {
        let signals = Signals::new();
        let hold = signals.hold(*step, key);
        let mut node = flow_node(&database, "killed", "").signals(&signals).start().await;
        // The runs that the nodes before have left are among those that are under way now.
        flow(&node, "ring", json!({ "first": 0, "count": bell, "afterMs": 0 })).await;
        flow(&node, "start_mix", json!({ "bell": bell, "scale": scale })).await;
        signals.reached(*step, key, 1).await;
        kill(&mut node).await;
        drop(hold);
    }
    let node = flow_node(&database, "killed", "").start().await;
    flow(&node, "ring", json!({ "first": 0, "count": kills, "afterMs": 0 })).await;
    all_ended(&database, LONG).await;
    let all = kills * scale;
    let expected = [
        ("chain completed", 2),
        ("chain continued", 4),
        ("parent completed", 2),
        ("saga completed", 4 + 4),
        ("saga failed", 2),
        ("transactional completed", 3),
        ("waiter completed", 3),
    ];
    assert_eq!(ends(&database).await, expected.map(|(end, each)| format!("flows.{end}: {}", each * all)));
    journals_are_right(&database, &[]).await;
    let twice = repeated(&database, i64::from(kills)).await;
    println!("{kills} kills, {} runs, {twice} steps were executed twice", all * 20);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn the_runs_of_a_killed_node_go_on_elsewhere_and_after_its_restart() {
    let database = Database::create().await;
    let mut first = flow_node(&database, "first", "").start().await;
    start_sagas(&first, 20, 40, 100).await;
    await_recorded(&database, 40, PATIENCE).await;
    let mut second = flow_node(&database, "second", "").start().await;
    let killed = Instant::now();
    kill(&mut first).await;
    await_executes(&database, &mut second).await;
    println!("another node has gone on {:?} after the kill", killed.elapsed());
    kill(&mut second).await;
    let started = Instant::now();
    let mut again = flow_node(&database, "second", "").start().await;
    println!("ready {:?} after the start", started.elapsed());
    await_executes(&database, &mut again).await;
    println!("the restarted node has gone on {:?} after its start", started.elapsed());
    all_ended(&database, LONG).await;
    assert_eq!(ends(&database).await, ["flows.saga completed: 20"]);
    journals_are_right(&database, &[]).await;
    repeated(&database, 2).await;
    assert_eq!(again.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn an_attempt_that_a_kill_has_cut_off_is_shown_as_interrupted() {
    let (database, lease) = (Database::create().await, "lease = \"3s\"");
    let mut node = flow_node(&database, "killed", lease).start().await;
    start_sagas(&node, 1, 1, 4_000).await;
    await_count(&database, "forge_workflow_attempts", 1, PATIENCE).await;
    kill(&mut node).await;
    // A node that executes no runs: the attempt is not begun again.
    let gateway = flow_node(&database, "gateway", "[node]\nroles = [\"gateway\"]").start().await;
    let run: String = database.value("select run_id::text from forge_workflow_attempts").await;
    let step = until("the lease has run out", PATIENCE, || async {
        let shown = json_of(&gateway, &["show", &run]).await;
        let step = shown["journal"][0].clone();
        (step["status"] == "interrupted").then_some(step)
    });
    let step = step.await;
    assert_eq!((&step["attempts"], &step["finishedAt"]), (&json!(1), &json!(null)));
    assert!(step["attemptAt"].is_string(), "{step}");
    let again = flow_node(&database, "killed", lease).start().await;
    all_ended(&database, LONG).await;
    assert_eq!(ends(&database).await, ["flows.saga completed: 1"]);
    assert_eq!(json_of(&gateway, &["show", &run]).await["journal"][0]["status"], "completed");
    assert_eq!(gateway.stop(PATIENCE).await.code(), 0);
    assert_eq!(again.stop(PATIENCE).await.code(), 0);
}
