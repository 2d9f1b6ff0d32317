//! Nodes that run workflows and lose something for a while: their processor, their lease, their database, a
//! thread.

use std::time::{Duration, Instant};

use forge_actors::test_signals::Step;
use forge_tests::{Database, PostgresProcess, Signal, Signals, probe, until};
use serde_json::json;

use super::jobs::LONG;
use super::peers::member;
use super::read_only::{await_unready, set_read_only};
use super::stage::PATIENCE;
use super::workflow_audit::{
    all_ended, await_count, await_recorded, count, ends, flow, flow_node, journals_are_right, repeated,
    start_sagas,
};

/// A lease that is over before the test gets long.
const SHORT_LEASE: &str = "lease = \"3s\"";
/// A rescuer that has seen no lost lease looks again after 30 seconds: this is sooner.
const SEEN: Duration = Duration::from_secs(20);
/// Longer than that lease.
const OUTAGE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_node_that_was_stopped_for_longer_than_its_lease_records_nothing_late() {
    let (database, signals) = (Database::create().await, Signals::new());
    let holds = ["do 3", "tx 2"].map(|step| signals.hold(Step::WorkflowStepRan, step));
    let mut stopped = flow_node(&database, "stopped", SHORT_LEASE).signals(&signals).start().await;
    flow(&stopped, "start_mix", json!({ "bell": 0, "scale": 2 })).await;
    // Steps that were executed and are not recorded, and transactions that are not committed.
    signals.reached(Step::WorkflowStepRan, "do 3", 12).await;
    signals.reached(Step::WorkflowStepRan, "tx 2", 4).await;
    stopped.process().signal(Signal::STOP);
    let began = Instant::now();
    let other = flow_node(&database, "other", SHORT_LEASE).start().await;
    flow(&other, "ring", json!({ "first": 0, "count": 1, "afterMs": 0 })).await;
    all_ended(&database, LONG).await;
    println!("all runs of the stopped node have ended {:?} after the stop", began.elapsed());
    let now: String = database.value("select clock_timestamp()::text").await;
    let (ended, written) = (ends(&database).await, journals_before(&database, &now).await);
    assert_eq!(other.stop(PATIENCE).await.code(), 0);
    drop(holds);
    stopped.process().signal(Signal::CONT);
    // Nobody else is there to run this: the node goes on under a new lease, and with nothing of the old one.
    stopped.await_ready(PATIENCE).await;
    until("the node has started a saga", PATIENCE, || async {
        let saga = json!({ "count": 1, "steps": 5, "ms": 100 });
        let reply = stopped.call("flows.start_sagas", saga, Some(&probe::token("ana"))).await;
        (reply.status == 200).then_some(())
    })
    .await;
    let sagas = "forge_workflow_history where workflow = 'flows.saga'";
    await_count(&database, sagas, 12 + 8 + 1, PATIENCE).await;
    let pid = stopped.process().pid();
    let executed = format!("probe_effects where pid = {pid} and what = 'do 3' and at < '{now}'");
    assert_eq!(count(&database, &executed).await, 12, "it had executed the step of each saga");
    assert_eq!(journals_before(&database, &now).await, written, "a late write was accepted");
    // Its transactions were not committed, and it does not go on with what the other node has recorded.
    assert_eq!(signals.count(Step::WorkflowStepStarting, "put 3"), 0);
    assert_eq!(ended[3], "flows.saga completed: 16", "{ended:?}");
    journals_are_right(&database, &[]).await;
    assert_eq!(stopped.stop(PATIENCE).await.code(), 0);
}

/// A hash of the journals of the runs that were created before this time.
async fn journals_before(database: &Database, time: &str) -> String {
    let hash = format!(
        "select md5(string_agg(step::text, '|' order by run_id, position)) from forge_workflow_steps step
         where run_id in (select id from forge_workflow_history where created_at < '{time}')"
    );
    database.value(&hash).await
}

#[tokio::test]
async fn what_was_executed_under_a_lease_that_was_taken_over_is_not_recorded() {
    let (database, signals) = (Database::create().await, Signals::new());
    let hold = signals.hold(Step::WorkflowStepRan, "do 3");
    let node = flow_node(&database, "only", "").signals(&signals).start().await;
    start_sagas(&node, 10, 5, 0).await;
    signals.reached(Step::WorkflowStepRan, "do 3", 10).await;
    // Its own rescuer has looked for lost leases by then, and looks again when it sees one.
    until("the lease was renewed", PATIENCE, || async {
        let renewed = "select renewed_at > created_at + interval '2s' from forge_workflow_owners";
        database.value::<bool>(renewed).await.then_some(())
    })
    .await;
    // As another node's rescuer does, which is killed before it has released the runs.
    database.execute("update forge_workflow_owners set lost_at = clock_timestamp()").await;
    drop(hold);
    let began = Instant::now();
    all_ended(&database, SEEN).await;
    println!("all runs have ended {:?} after their lease was lost", began.elapsed());
    assert_eq!(ends(&database).await, ["flows.saga completed: 10"]);
    assert_eq!(count(&database, "probe_effects where what = 'do 3'").await, 20, "executed again by each run");
    journals_are_right(&database, &[]).await;
    assert_eq!(repeated(&database, 1).await, 10);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn runs_outlive_a_database_that_is_away_or_read_only_for_longer_than_their_lease() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let mut node = flow_node(&database, "only", SHORT_LEASE).start().await;
    const RUNS: u32 = 20;
    const STEPS: u32 = 30;
    start_sagas(&node, RUNS, STEPS, 50).await;
    flow(&node, "start_mix", json!({ "bell": 0, "scale": 2 })).await;
    await_recorded(&database, RUNS * STEPS / 5, PATIENCE).await;
    postgres.crash();
    tokio::time::sleep(OUTAGE).await;
    postgres.restart().await;
    let back = Instant::now();
    let before = recorded(&database).await;
    await_recorded(&database, before + 1, SEEN).await;
    println!("steps are recorded {:?} after the outage", back.elapsed());
    assert_eq!(count(&database, "forge_workflow_runs where crashes > 0").await, 0, "an outage is no crash");
    await_recorded(&database, RUNS * STEPS * 3 / 5, LONG).await;

    set_read_only(&database, true).await;
    await_unready(&node).await;
    tokio::time::sleep(OUTAGE).await;
    let before = recorded(&database).await;
    set_read_only(&database, false).await;
    let back = Instant::now();
    await_recorded(&database, before + 1, SEEN).await;
    println!("steps are recorded {:?} after the database takes writes again", back.elapsed());
    node.await_ready(PATIENCE).await;
    flow(&node, "ring", json!({ "first": 0, "count": 1, "afterMs": 0 })).await;
    all_ended(&database, LONG).await;
    let ended = ends(&database).await;
    assert_eq!(ended[3], format!("flows.saga completed: {}", RUNS + 16), "{ended:?}");
    journals_are_right(&database, &[]).await;
    println!("{} steps were executed twice", repeated(&database, 2).await);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

async fn recorded(database: &Database) -> u32 {
    let recorded = "forge_workflow_steps where kind = 'call' and status = 'completed'";
    u32::try_from(count(database, recorded).await).expect("a small number")
}

#[tokio::test]
async fn a_step_that_blocks_its_thread_holds_up_no_other_run() {
    let (database, folder) = (Database::create().await, tempfile::tempdir().expect("a folder"));
    let config = format!("{}\n[functions]\nthreads = 2\n[workflows]\n{SHORT_LEASE}\n", probe::CONFIG);
    let node = member(&database, "blocked").file("forge.toml", config).start().await;
    let gate = folder.path().join("open");
    flow(&node, "start_blocked", json!({ "gate": gate })).await;
    await_count(&database, "probe_effects where what = 'block'", 1, PATIENCE).await;
    start_sagas(&node, 20, 5, 10).await;
    await_count(&database, "forge_workflow_history where status = 'completed'", 20, PATIENCE).await;
    assert_eq!(count(&database, "forge_workflow_runs where status = 'running'").await, 1);
    std::fs::write(&gate, "").expect("a file in an own folder");
    all_ended(&database, PATIENCE).await;
    let claims = "forge_workflow_history where claim = 1 and status = 'completed'";
    assert_eq!(count(&database, claims).await, 21, "the lease was kept");
    journals_are_right(&database, &[]).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
