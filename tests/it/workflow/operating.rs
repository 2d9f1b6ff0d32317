//! What an operator does to runs, with the engine at work: the store's tests have the states, these what the
//! code of the run sees of them.

use forge::prelude::*;
use forge_actors::app::Handler;
use forge_actors::dashboard::workflow_bulk::BulkWorkflowStep;
use forge_actors::dashboard::workflow_commands::{
    CancelWorkflow, ForkWorkflow, PauseWorkflow, ResumeWorkflow, RetryWorkflow, SignalWorkflow,
    TerminateWorkflow,
};
use forge_actors::dashboard::workflows::{ExportWorkflowHistory, ShowWorkflow, ShowWorkflowStep};
use forge_actors::workflow::admin::{WorkflowAction, WorkflowBulk, WorkflowBulkCounts, WorkflowFilter};
use forge_actors::workflow::check::{CheckProgress, CheckedCode, check};
use forge_actors::workflow::history::{WorkflowHistory, replay_history};
use serde_json::Value;

use super::samples::Note;
use super::stage::Stage;

#[forge::event(name = "operating.approved")]
pub(super) struct Approved {
    pub by: String,
}

/// Succeeds when somebody has paid.
#[forge::mutation(internal)]
pub(super) async fn charge(ctx: &MutationContext, run: RunId, pin: Secret<String>) -> Result<Secret<String>> {
    let paid: i64 =
        sqlx::query_scalar("SELECT count(*) FROM log WHERE entry = 'paid'").fetch_one(ctx.db()).await?;
    if paid == 0 {
        return Err(Fault::new(Code::Conflict, "nobody has paid"));
    }
    ctx.call(Note { run, entry: "charge".to_owned() }).await?;
    Ok(pin)
}

/// Reserves, waits for an approval, charges, sends.
#[forge::workflow(name = "operating.ship")]
pub(super) async fn ship(ctx: &WorkflowContext, pin: Secret<String>) -> Result<u32> {
    let run = ctx.run_id();
    let note = move |entry: &str| Note { run, entry: entry.to_owned() };
    ctx.step("reserve", note("reserve")).compensate(move |_| note("release")).await?;
    ctx.wait_for_signal::<Approved>().await?;
    ctx.step("charge", Charge { run, pin }).await?;
    Ok(ctx.step("send", note("send")).await?)
}

#[forge::mutation(internal)]
pub(super) async fn start_ship(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Ship { pin: Secret::new("4711".to_owned()) }).await
}

/// Cancels a run, and is rolled back when it is to fail.
#[forge::mutation(internal)]
pub(super) async fn withdraw(ctx: &MutationContext, run: RunId, fails: bool) -> Result<bool> {
    let is_asked = ctx.cancel_run(run).await?;
    if fails { Err(Fault::new(Code::Conflict, "not now")) } else { Ok(is_asked) }
}

/// Cancels a run as a step.
#[forge::workflow(name = "operating.revoke")]
pub(super) async fn revoke(ctx: &WorkflowContext, run: RunId) -> Result<bool> {
    ctx.cancel_run(run).await
}

#[forge::action(internal)]
pub(super) async fn begin_revoke(ctx: &ActionContext, run: RunId) -> Result<RunId> {
    ctx.start(Revoke { run }).await
}

/// Calls a function in the name of an administrator.
pub(super) async fn admin<H: Handler>(stage: &Stage, message: H) -> Result<Value, Fault> {
    stage.call_in(None, message).await
}

/// A run that has failed at its charge, and was compensated.
async fn failed(stage: &Stage) -> RunId {
    let run = stage.started(StartShip {}).await;
    stage.has_status(run, "waiting").await;
    approve(stage, run).await;
    assert_eq!(stage.ended(run).await.status, "failed");
    assert_eq!(stage.log(run).await, ["reserve", "release"]);
    run
}

async fn approve(stage: &Stage, id: RunId) {
    let (name, payload) = ("operating.approved".to_owned(), r#"{"by": "ana"}"#.to_owned());
    admin(stage, SignalWorkflow { id, name, payload }).await.unwrap();
}

async fn pay(stage: &Stage) {
    stage.execute("INSERT INTO log (run, entry) VALUES ('', 'paid')").await;
}

fn retry(id: RunId, from: Option<&str>) -> RetryWorkflow {
    RetryWorkflow { id, from_step: from.map(str::to_owned) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_executes_its_steps_again_from_the_named_one() {
    let stage = Stage::open().await;
    let run = failed(&stage).await;
    pay(&stage).await;
    let refused = admin(&stage, retry(run, None)).await.unwrap_err();
    assert!(
        refused.code() == Code::Conflict && refused.message().contains("`reserve` was compensated"),
        "{refused}"
    );
    // The approval is received again, since the step that has consumed it is executed again.
    let answer = admin(&stage, retry(run, Some("reserve"))).await.unwrap();
    assert_eq!(answer["run"]["status"], "ready");
    assert_eq!(stage.ended(run).await.status, "completed");
    assert_eq!(stage.log(run).await, ["reserve", "release", "reserve", "charge", "send"]);

    let forked = admin(&stage, ForkWorkflow { id: run, from_step: Some("send".to_owned()), version: None });
    let forked: RunId = serde_json::from_value(forked.await.unwrap()["run"]["id"].take()).unwrap();
    assert_eq!(stage.ended(forked).await.status, "completed");
    assert_eq!(stage.log(run).await.last().map(String::as_str), Some("send"));
    assert_eq!(stage.log(forked).await, ["send"], "the steps before it are not executed again");
    let refused =
        admin(&stage, ForkWorkflow { id: run, from_step: None, version: Some(9) }).await.unwrap_err();
    assert!(refused.message().contains("no version 9"), "{refused}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_keeps_what_comes_for_it_until_it_is_resumed() {
    let stage = Stage::open().await;
    pay(&stage).await;
    let run = stage.started(StartShip {}).await;
    stage.has_status(run, "waiting").await;
    let paused = admin(&stage, PauseWorkflow { id: run }).await.unwrap();
    assert_eq!(
        (&paused["run"]["status"], &paused["message"]),
        (&json!("paused"), &json!("the run is paused"))
    );
    approve(&stage, run).await;
    // Another run goes through meanwhile.
    let other = stage.started(StartShip {}).await;
    stage.has_status(other, "waiting").await;
    approve(&stage, other).await;
    assert_eq!(stage.ended(other).await.status, "completed");
    stage.has_status(run, "paused").await;
    admin(&stage, ResumeWorkflow { id: run }).await.unwrap();
    assert_eq!(stage.ended(run).await.status, "completed");
    let refused =
        admin(&stage, SignalWorkflow { id: run, name: "a".to_owned(), payload: "1".to_owned() }).await;
    assert_eq!(refused.unwrap_err().code(), Code::Conflict);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_compensated_and_a_terminated_one_is_not() {
    let stage = Stage::open().await;
    let runs = [stage.started(StartShip {}).await, stage.started(StartShip {}).await];
    for run in runs {
        stage.has_status(run, "waiting").await;
    }
    admin(&stage, CancelWorkflow { id: runs[0], reason: Some("no use".to_owned()) }).await.unwrap();
    let cancelled = stage.ended(runs[0]).await;
    assert_eq!((cancelled.status.as_str(), cancelled.code()), ("cancelled", "CANCELLED"));
    assert_eq!(cancelled.message(), "the run was cancelled by ana: no use");
    assert_eq!(stage.log(runs[0]).await, ["reserve", "release"]);
    admin(&stage, TerminateWorkflow { id: runs[1], reason: Some("a mistake".to_owned()) }).await.unwrap();
    assert_eq!(stage.ended(runs[1]).await.code(), "TERMINATED");
    assert_eq!(stage.log(runs[1]).await, ["reserve"]);
    // It goes on where it was: it waits for the approval.
    pay(&stage).await;
    admin(&stage, retry(runs[1], None)).await.unwrap();
    stage.has_status(runs[1], "waiting").await;
    approve(&stage, runs[1]).await;
    assert_eq!(stage.ended(runs[1]).await.status, "completed");
    assert_eq!(stage.log(runs[1]).await, ["reserve", "charge", "send"]);
    let audit: String = stage
        .value("SELECT string_agg(action, ' ' ORDER BY at) FROM forge_audit WHERE outcome = 'done' AND subject = 'ana'")
        .await;
    assert_eq!(audit, "cancelWorkflow terminateWorkflow retryWorkflow signalWorkflow");
    let target: String = stage.value("SELECT target FROM forge_audit WHERE action = 'cancelWorkflow'").await;
    assert_eq!(target, format!("{}: no use", runs[0]));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_changed_batch_by_batch_and_later_ones_left_alone() {
    let stage = Stage::open().await;
    let run = stage.started(StartShip {}).await;
    stage.has_status(run, "waiting").await;
    let now: Timestamp = stage.value("SELECT clock_timestamp()").await;
    let later = stage.started(StartShip {}).await;
    stage.has_status(later, "waiting").await;
    let bulk = WorkflowBulk {
        action: WorkflowAction::Terminate,
        filter: WorkflowFilter { workflow: Some("operating.ship".to_owned()), ..WorkflowFilter::default() },
        who: "ana".to_owned(),
        reason: None,
        started_at: now,
        expected: Some(1),
    };
    let step =
        BulkWorkflowStep { job: JobId::new(), bulk, before: None, counts: WorkflowBulkCounts::default() };
    let state = stage.call(step).await;
    assert_eq!(state, json!({ "next": null, "counts": { "done": 1, "skipped": 0 } }));
    assert_eq!(stage.ended(run).await.code(), "TERMINATED");
    stage.has_status(later, "waiting").await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_a_run_and_its_steps_are_not_shown() {
    let stage = Stage::open().await;
    pay(&stage).await;
    let run = stage.started(StartShip {}).await;
    stage.has_status(run, "waiting").await;
    approve(&stage, run).await;
    stage.ended(run).await;
    let shown = admin(&stage, ShowWorkflow { id: run }).await.unwrap();
    assert_eq!(shown["input"], json!(r#"{"pin":"[redacted]"}"#));
    let step = &shown["journal"][2];
    assert_eq!((&step["name"], &step["output"]), (&json!("charge"), &json!(r#""[redacted]""#)));
    assert!(step["input"].as_str().is_some_and(|input| input.contains("\"pin\":\"[redacted]\"")), "{step}");
    assert_eq!(shown["journal"][0]["output"], json!("7"), "what holds no secret is shown");
    let step = admin(&stage, ShowWorkflowStep { id: run, position: "3".to_owned() }).await.unwrap();
    assert!(!shown.to_string().contains("4711") && !step.to_string().contains("4711"));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_holds_no_secrets_and_is_replayed_all_the_same() {
    let stage = Stage::open().await;
    pay(&stage).await;
    let run = stage.started(StartShip {}).await;
    stage.has_status(run, "waiting").await;
    approve(&stage, run).await;
    stage.ended(run).await;
    let part = admin(&stage, ExportWorkflowHistory { id: run, after: None }).await.unwrap();
    assert!(!part.to_string().contains("4711"), "{part}");
    assert_eq!(part["run"]["isInputRedacted"], json!(true));
    let history = WorkflowHistory::of(vec![serde_json::from_value(part).unwrap()]).unwrap();
    let redacted: Vec<&str> =
        history.steps.iter().filter(|step| step.is_redacted).map(|step| &*step.position).collect();
    assert_eq!(redacted, ["3"]);
    let replayed = replay_history(&stage.node.functions, &history).await.unwrap();
    assert_eq!((replayed.steps, replayed.was_open), (4, false));
    assert_eq!(stage.log(run).await, ["reserve", "charge", "send"], "nothing was executed again");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_before_a_deploy_names_runs_that_the_code_does_not_fit() {
    let stage = Stage::open().await;
    let run = stage.started(StartShip {}).await;
    stage.has_status(run, "waiting").await;
    let compare = async || check(&stage.scratch.database, &stage.node.functions, None, |_| {}).await.unwrap();
    let found = compare().await;
    let version = &found.versions[0];
    assert_eq!((version.code, version.runs, version.checked), (CheckedCode::Linked, 1, 1));
    assert!(found.is_sound(), "{found:?}");
    stage.execute("UPDATE forge_workflow_steps SET name = 'book' WHERE position = '1'").await;
    let found = compare().await;
    let difference = &found.divergences[0];
    assert_eq!(
        (difference.run, &*difference.difference),
        (run, "expected step 1 `book` (call), found `reserve` (call)")
    );
    assert!(!found.is_sound());
    stage.execute("UPDATE forge_workflow_steps SET name = 'reserve' WHERE position = '1'").await;
    stage.execute("UPDATE forge_workflow_runs SET version = 7").await;
    let found = compare().await;
    assert_eq!((found.versions[0].code, found.divergences.len()), (CheckedCode::Missing, 0));
    assert_eq!((found.versions[0].checked, found.unchecked), (0, 0));
    assert!(!found.is_sound());
    assert_eq!(stage.log(run).await, ["reserve"], "nothing was executed");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_before_a_deploy_compares_every_run_page_by_page() {
    let stage = Stage::open().await;
    let oldest = stage.started(StartShip {}).await;
    stage.has_status(oldest, "waiting").await;
    // A thousand newer runs that fit, with the journal of the oldest, which does not.
    let copies = "
        WITH copies AS (
            INSERT INTO forge_workflow_runs (id, workflow, version, status, due_at, claim, input, begun_at)
            SELECT ('ffff0000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, workflow, version, 'waiting', 'infinity', 1,
                   input, begun_at
            FROM forge_workflow_runs, generate_series(1, 1010) AS n
            RETURNING id
        )
        INSERT INTO forge_workflow_steps (run_id, position, kind, status, name, shape, number, output, started_at, finished_at,
                                          event, event_key)
        SELECT copies.id, position, kind, status, name, shape, number, output, started_at, finished_at, event, event_key
        FROM forge_workflow_steps, copies";
    stage.execute(copies).await;
    stage
        .execute(&format!(
            "UPDATE forge_workflow_steps SET name = 'book' WHERE position = '1' AND run_id = '{oldest}'"
        ))
        .await;
    let mut pages = Vec::new();
    let (database, functions) = (&stage.scratch.database, &stage.node.functions);
    let found = check(database, functions, None, |progress| pages.push(progress)).await.unwrap();
    let version = &found.versions[0];
    assert_eq!((version.runs, version.checked, version.diverged, found.unchecked), (1_011, 1_011, 1, 0));
    assert_eq!(found.divergences.iter().map(|found| found.run).collect::<Vec<_>>(), [oldest]);
    assert!(!found.is_sound());
    assert!(pages.len() > 1 && pages.windows(2).all(|two| two[0].checked < two[1].checked), "{pages:?}");
    assert_eq!(pages.last(), Some(&CheckProgress { checked: 1_011, runs: 1_011 }));
    let found = check(database, functions, Some(60), |_| {}).await.unwrap();
    assert_eq!((found.versions[0].checked, found.unchecked), (60, 951));
    assert!(found.is_sound(), "the newest fit, and nothing is claimed of the others");
    let found = check(database, functions, Some(1_011), |_| {}).await.unwrap();
    assert_eq!((found.versions[0].checked, found.unchecked, found.is_sound()), (1_011, 0, false));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_cancels_a_run_if_and_only_if_it_commits() {
    let stage = Stage::open().await;
    let run = stage.started(StartShip {}).await;
    stage.has_status(run, "waiting").await;
    assert!(stage.node.call(Withdraw { run, fails: true }).await.is_err());
    let asked = "SELECT count(*) FROM forge_workflow_runs WHERE request IS NOT NULL";
    assert_eq!(stage.value::<i64>(asked).await, 0);
    assert_eq!(stage.call(Withdraw { run, fails: false }).await, Value::Bool(true));
    assert_eq!(stage.ended(run).await.status, "cancelled");
    assert_eq!(stage.log(run).await, ["reserve", "release"]);
    let open = "SELECT count(*) FROM forge_workflow_steps WHERE finished_at IS NULL";
    assert_eq!(stage.value::<i64>(open).await, 0, "it waits for nothing any more");
    assert_eq!(stage.call(Withdraw { run, fails: false }).await, Value::Bool(false), "it has ended");
    let other = stage.started(StartShip {}).await;
    stage.has_status(other, "waiting").await;
    let revoked = stage.started(BeginRevoke { run: other }).await;
    assert_eq!(stage.ended(revoked).await.output, Some(Value::Bool(true)));
    assert_eq!(stage.ended(other).await.status, "cancelled");
    stage.close().await;
}
