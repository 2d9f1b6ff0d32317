//! Attempts that are under way: people see them, and the journal does not have them.

use forge::prelude::*;
use forge_actors::app::RetryBackoff;
use forge_actors::app::workflow::StepStatus;
use forge_actors::dashboard::workflow_commands::{ForkWorkflow, RetryWorkflow, TerminateWorkflow};
use forge_actors::dashboard::workflows::{ExportWorkflowHistory, ShowWorkflow, ShowWorkflowStep};
use forge_actors::workflow::check::check;
use forge_actors::workflow::history::{WorkflowHistory, replay_history};
use forge_tests::until;
use serde_json::Value;

use super::operating::admin;
use super::samples::Note;
use super::stage::Stage;

const PATIENCE: std::time::Duration = secs(20);

/// How often something was logged.
#[forge::query(internal)]
pub(super) async fn count_entries(ctx: &QueryContext, run: String, entry: String) -> Result<u32> {
    let count = "SELECT count(*)::int4 FROM log WHERE run = $1 AND entry = $2";
    let found: i32 = sqlx::query_scalar(count).bind(run).bind(entry).fetch_one(ctx.db()).await?;
    Ok(found.unsigned_abs())
}

/// Notes that an attempt has begun, and waits until the gate is open. The first attempt of `fails` fails.
#[forge::action(internal, timeout = "1m")]
pub(super) async fn pass_gate(ctx: &ActionContext, run: RunId, fails: bool) -> Result<u32> {
    ctx.call(Note { run, entry: "arrived".to_owned() }).await?;
    let arrived = CountEntries { run: run.to_string(), entry: "arrived".to_owned() };
    if fails && ctx.call(arrived).await? == 1 {
        return Err(Fault::new(Code::Conflict, "not at the first attempt"));
    }
    until("the gate is open", PATIENCE, || async {
        let opened = CountEntries { run: "gate".to_owned(), entry: "open".to_owned() };
        ctx.call(opened).await.ok().filter(|count| *count > 0)
    })
    .await;
    Ok(7)
}

/// A step, a step behind a gate, a step.
#[forge::workflow(name = "under_way.gated")]
pub(super) async fn gated(ctx: &WorkflowContext, fails: bool) -> Result<u32> {
    let run = ctx.run_id();
    ctx.step("before", Note { run, entry: "before".to_owned() }).await?;
    let backoff = RetryBackoff::Fixed(millis(1));
    let passed = ctx.step("gate", PassGate { run, fails }).retry(1).backoff(backoff).await?;
    ctx.step("after", Note { run, entry: "after".to_owned() }).await?;
    Ok(passed)
}

#[forge::mutation(internal)]
pub(super) async fn start_gated(ctx: &MutationContext, fails: bool) -> Result<RunId> {
    ctx.start(Gated { fails }).await
}

async fn open_gate(stage: &Stage) {
    stage.execute("INSERT INTO log (run, entry) VALUES ('gate', 'open')").await;
}

/// The step at `position` of the journal that people see.
async fn shown(stage: &Stage, run: RunId, position: &str) -> Option<Value> {
    let detail = admin(stage, ShowWorkflow { id: run }).await.unwrap();
    let journal = detail["journal"].as_array().unwrap();
    journal.iter().find(|step| step["position"] == position).cloned()
}

/// Waits until a step has this status.
async fn has_step(stage: &Stage, run: RunId, position: &str, status: StepStatus) -> Value {
    until(status.as_str(), PATIENCE, || async {
        shown(stage, run, position).await.filter(|step| step["status"] == status.as_str())
    })
    .await
}

async fn has_no_attempts(stage: &Stage) {
    until("no attempt is under way", PATIENCE, || async {
        let left: i64 = stage.value("SELECT count(*) FROM forge_workflow_attempts").await;
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_is_under_way_is_shown_with_its_number_and_begin() {
    let stage = Stage::open().await;
    let run = stage.started(StartGated { fails: true }).await;
    let step = has_step(&stage, run, "2", StepStatus::Running).await;
    assert_eq!(
        (&step["name"], &step["attempts"], &step["kind"]),
        (&"gate".into(), &2.into(), &"call".into())
    );
    assert_eq!(step["failedAttempts"].as_array().unwrap().len(), 1, "the first one has failed");
    let (began, first): (Timestamp, Timestamp) = (
        serde_json::from_value(step["attemptAt"].clone()).unwrap(),
        serde_json::from_value(step["startedAt"].clone()).unwrap(),
    );
    assert!(first < began && began < Timestamp::from(std::time::SystemTime::now()), "{first} {began}");
    let alone = admin(&stage, ShowWorkflowStep { id: run, position: "2".to_owned() }).await.unwrap();
    assert_eq!(alone["status"], "running");
    let detail = admin(&stage, ShowWorkflow { id: run }).await.unwrap();
    assert_eq!(detail["waits"], serde_json::json!([]), "what is under way is not waited for");
    open_gate(&stage).await;
    assert_eq!(stage.ended(run).await.output, Some(7.into()));
    let step = shown(&stage, run, "2").await.unwrap();
    assert_eq!((&step["status"], &step["attemptAt"]), (&"completed".into(), &Value::Null));
    has_no_attempts(&stage).await;
    stage.close().await;
}

#[tokio::test]
async fn steps_shorter_than_a_moment_write_nothing_more() {
    let stage = Stage::open().await;
    open_gate(&stage).await;
    for _ in 0..5 {
        let run = stage.started(StartGated { fails: false }).await;
        assert_eq!(stage.ended(run).await.status, "completed");
    }
    let bytes: i64 = stage.value("SELECT pg_relation_size('forge_workflow_attempts')").await;
    assert_eq!(bytes, 0, "no row was ever written");
    stage.close().await;
}

#[tokio::test]
async fn an_attempt_that_is_under_way_is_no_part_of_the_journal() {
    let stage = Stage::open().await;
    let run = stage.started(StartGated { fails: false }).await;
    let step = has_step(&stage, run, "2", StepStatus::Running).await;
    assert_eq!(step["attempts"], 1);
    let database = &stage.scratch.database;
    let found = check(database, &stage.node.functions, None, |_| {}).await.unwrap();
    assert!(found.is_sound(), "{found:?}");
    let part = admin(&stage, ExportWorkflowHistory { id: run, after: None }).await.unwrap();
    let history = WorkflowHistory::of(vec![serde_json::from_value(part).unwrap()]).unwrap();
    let positions: Vec<&str> = history.steps.iter().map(|step| &*step.position).collect();
    assert_eq!(positions, ["1"]);
    let replayed = replay_history(&stage.node.functions, &history).await.unwrap();
    assert_eq!(replayed.goes_on_with.as_deref(), Some("step 2 `gate` (call)"));
    let fork = ForkWorkflow { id: run, from_step: None, version: None };
    let forked = admin(&stage, fork).await.unwrap();
    let forked: RunId = serde_json::from_value(forked["run"]["id"].clone()).unwrap();
    has_step(&stage, forked, "2", StepStatus::Running).await;
    let terminate = TerminateWorkflow { id: run, reason: None };
    admin(&stage, terminate).await.unwrap();
    assert_eq!(stage.ended(run).await.status, "terminated");
    assert_eq!(shown(&stage, run, "2").await, None, "a run that has ended executes nothing");
    open_gate(&stage).await;
    admin(&stage, RetryWorkflow { id: run, from_step: Some("before".to_owned()) }).await.unwrap();
    for run in [run, forked] {
        assert_eq!(stage.ended(run).await.status, "completed");
        let rows: i64 =
            stage.value(&format!("SELECT count(*) FROM forge_workflow_steps WHERE run_id = '{run}'")).await;
        let steps: i32 =
            stage.value(&format!("SELECT steps FROM forge_workflow_history WHERE id = '{run}'")).await;
        assert_eq!((rows, steps), (3, 3));
    }
    stage.close().await;
}

#[tokio::test]
async fn an_attempt_whose_node_was_lost_is_executed_again() {
    let stage = Stage::open().await;
    let run = stage.started(StartGated { fails: false }).await;
    has_step(&stage, run, "2", StepStatus::Running).await;
    let first: i32 = stage.value("SELECT claim FROM forge_workflow_attempts").await;
    stage.execute("UPDATE forge_workflow_owners SET lost_at = clock_timestamp()").await;
    let again = until("the step is executed again", PATIENCE, || async {
        let claims: Option<i32> = stage.value("SELECT max(claim) FROM forge_workflow_attempts").await;
        claims.filter(|claim| *claim > first)
    });
    again.await;
    let step = has_step(&stage, run, "2", StepStatus::Running).await;
    assert_eq!(step["attempts"], 1, "what was cut off has spent no attempt");
    open_gate(&stage).await;
    assert_eq!(stage.ended(run).await.output, Some(7.into()));
    assert_eq!(stage.log(run).await, ["before", "arrived", "arrived", "after"]);
    has_no_attempts(&stage).await;
    stage.close().await;
}
