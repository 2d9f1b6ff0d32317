//! Clients that follow runs of workflows, on real nodes.

use forge_actors::test_signals::Step;
use forge_tests::{Client, Database, NodeBuilder, Signal, Signals, Socket, probe, until};
use serde_json::{Value, json};

use super::job_results::{await_job, await_status};
use super::stage::PATIENCE;
use super::workflow_audit::{await_count, flow, flow_node, journals_are_right};

/// A node that executes no runs.
fn gateway(database: &Database) -> NodeBuilder {
    flow_node(database, "gateway", "[node]\nroles = [\"gateway\"]")
}

/// Starts a tour that `ana` follows.
async fn follow(client: &Client, bell: u32, left: u32, fails: bool) -> Value {
    let arguments = json!({ "bell": bell, "left": left, "fails": fails });
    let reply = client.call("flows.follow_tour", arguments, Some(&probe::token("ana"))).await;
    reply.data().clone()
}

async fn ring(client: &Client, bell: u32) {
    let arguments = json!({ "first": bell, "count": 1, "afterMs": 0 });
    let rung = client.call("flows.ring", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(rung.data(), 1, "{}", rung.text);
}

#[tokio::test]
async fn a_client_on_another_node_follows_a_run_to_its_end() {
    let database = Database::create().await;
    let gateway = gateway(&database).start().await;
    let signals = Signals::new();
    let hold = signals.hold(Step::WorkflowStepStarting, "pack");
    let worker = flow_node(&database, "worker", "").signals(&signals).start().await;
    let client = gateway.client();
    let (mut socket, _) = Socket::hello(client.base(), Some(&probe::token("ana"))).await;

    let run = follow(client, 1, 1, false).await;
    socket.subscribe(1, "forge.workflowStatus", json!({ "id": run })).await;
    let packs = |run: &Value| run["status"] == "running" && run["published"] == json!({ "left": 1 });
    await_job(&mut socket, packs).await;
    drop(hold);
    let waiting = await_status(&mut socket, "waiting").await;
    assert_eq!((&waiting["run"], &waiting["dueAt"]), (&run, &Value::Null));
    ring(client, 1).await;
    let goes_on = |run: &Value| run["status"] == "waiting" && run["published"] == json!({ "left": 0 });
    let next = await_job(&mut socket, goes_on).await;
    assert_eq!(next["id"], run);
    assert_ne!(next["run"], run, "the handle follows the run that goes on");
    ring(client, 2).await;
    let ended = await_status(&mut socket, "completed").await;
    assert_eq!((&ended["result"], &ended["failure"], &ended["run"]), (&json!(2), &Value::Null, &next["run"]));

    let run = follow(client, 3, 0, true).await;
    socket.subscribe(2, "forge.workflowStatus", json!({ "id": run })).await;
    ring(client, 3).await;
    let ended = await_status(&mut socket, "failed").await;
    let failure = json!({
        "code": "TOUR_FULL", "message": "The tour is full, as asked.", "details": { "bell": 3 }, "isOwn": true
    });
    assert_eq!((&ended["failure"], &ended["result"]), (&failure, &Value::Null));

    let run = follow(client, 4, 0, false).await;
    socket.subscribe(3, "forge.workflowStatus", json!({ "id": run })).await;
    await_status(&mut socket, "waiting").await;
    let cancelled =
        client.call("forge.cancelMyWorkflow", json!({ "id": run }), Some(&probe::token("ana"))).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let ended = await_status(&mut socket, "cancelled").await;
    assert_eq!(ended["failure"]["code"], "CANCELLED");
    for node in [gateway, worker] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

#[tokio::test]
async fn a_follower_sees_the_end_of_a_run_whose_node_was_killed() {
    let database = Database::create().await;
    let gateway = gateway(&database).start().await;
    let signals = Signals::new();
    let hold = signals.hold(Step::WorkflowStepStarting, "pack");
    let mut owner = flow_node(&database, "owner", "").signals(&signals).start().await;
    let client = gateway.client();
    let (mut socket, _) = Socket::hello(client.base(), Some(&probe::token("ana"))).await;
    let run = follow(client, 1, 0, false).await;
    socket.subscribe(1, "forge.workflowStatus", json!({ "id": run })).await;
    await_job(&mut socket, |run| run["published"] == json!({ "left": 0 })).await;
    signals.reached(Step::WorkflowStepStarting, "pack", 1).await;
    owner.process().signal(Signal::KILL);
    owner.process().ended(PATIENCE).await;
    drop(hold);
    ring(client, 1).await;
    let other = flow_node(&database, "other", "").start().await;
    let ended = await_status(&mut socket, "completed").await;
    assert_eq!((&ended["result"], &ended["run"]), (&json!(1), &run));
    journals_are_right(&database, &[]).await;
    for node in [gateway, other] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

#[tokio::test]
async fn nobody_else_sees_or_cancels_a_run_but_an_administrator() {
    let database = Database::create().await;
    let node = gateway(&database).start().await;
    let client = node.client();
    let (ana, bob, admin) = (probe::token("ana"), probe::token("bob"), probe::admin_token());
    let followed = follow(client, 1, 0, false).await;
    let unfollowed = flow(&node, "start_listeners", json!({ "count": 1 })).await[0].clone();
    let public = client.call("flows.follow_publicly", json!({ "bell": 1 }), None).await.data().clone();
    let vain = client.call("flows.start_in_vain", json!({ "bell": 1 }), Some(&ana)).await;
    let rolled_back = vain.json()["error"]["details"]["run"].clone();
    assert!(rolled_back.is_string(), "{}", vain.text);
    let ask = async |function: &str, run: &Value, token: Option<&str>| {
        client.call(function, json!({ "id": run }), token).await.status
    };
    for function in ["forge.workflowStatus", "forge.cancelMyWorkflow"] {
        for token in [Some(bob.as_str()), None] {
            assert_eq!(ask(function, &followed, token).await, 404, "{function}");
        }
        for run in [&unfollowed, &rolled_back] {
            for token in [&ana, &admin] {
                assert_eq!(ask(function, run, Some(token)).await, 404, "it has no handle");
            }
        }
    }
    for (run, token) in [(&followed, Some(&*ana)), (&followed, Some(&*admin)), (&public, None)] {
        assert_eq!(ask("forge.workflowStatus", run, token).await, 200);
    }
    let (mut socket, _) = Socket::hello(client.base(), Some(&bob)).await;
    socket.subscribe(1, "forge.workflowStatus", json!({ "id": followed })).await;
    let refused = socket.frame_of("transition").await;
    assert_eq!(refused["mods"][0]["error"]["code"], "NOT_FOUND", "{refused}");
    for what in ["cancels the run", "changes nothing"] {
        assert_eq!(ask("forge.cancelMyWorkflow", &followed, Some(&ana)).await, 200, "{what}");
    }
    await_count(&database, "forge_workflow_runs where request = 'cancel'", 1, PATIENCE).await;

    // An operator ends it and brings it back: it is followed as before, and does not say who that was.
    let status = async || {
        let reply = client.call("forge.workflowStatus", json!({ "id": followed }), Some(&ana)).await;
        reply.data().clone()
    };
    let terminate = json!({ "id": followed, "reason": "no use" });
    assert_eq!(client.call("forge.terminateWorkflow", terminate, Some(&admin)).await.status, 200);
    let failure = json!({
        "code": "TERMINATED", "message": "the run was terminated", "details": null, "isOwn": false
    });
    let ended = status().await;
    assert_eq!((&ended["status"], &ended["failure"]), (&json!("terminated"), &failure));
    assert_eq!(ask("forge.retryWorkflow", &followed, Some(&admin)).await, 200);
    let again = status().await;
    assert_eq!((&again["status"], &again["failure"]), (&json!("ready"), &Value::Null));
    until("only runs with handles have progress", PATIENCE, || async {
        let progress = "select count(*) from forge_workflow_progress";
        (database.value::<i64>(progress).await == 2).then_some(())
    })
    .await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
