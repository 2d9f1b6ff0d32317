//! Runs that cannot go on: their activations fail, or what they wait for is gone.

use forge::prelude::*;
use forge_actors::app::workflow_run::limits::CRASHES_MAX;
use forge_actors::dashboard::workflow_commands::{CancelWorkflow, ResumeWorkflow};
use forge_actors::dashboard::workflows::ShowWorkflow;
use serde_json::json;

use super::samples::Note;
use super::stage::Stage;

/// Takes a note, sleeps, takes another one.
#[forge::workflow(name = "crashes.sleeper")]
pub(super) async fn sleeper(ctx: &WorkflowContext) -> Result<u32> {
    let run = ctx.run_id();
    let note = move |entry: &str| Note { run, entry: entry.to_owned() };
    ctx.step("bed", note("bed")).compensate(move |_| note("undone")).await?;
    ctx.sleep(hours(1)).await;
    Ok(ctx.step("rise", note("rise")).await?)
}

#[forge::mutation(internal)]
pub(super) async fn start_sleeper(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Sleeper {}).await
}

/// A job that is never done.
#[forge::job(name = "crashes.idle")]
pub(super) async fn idle(ctx: &JobContext) -> Result<u32> {
    ctx.snooze(hours(1))
}

/// Waits for a job; returns why there is no result.
#[forge::workflow(name = "crashes.bereft")]
pub(super) async fn bereft(ctx: &WorkflowContext) -> Result<String> {
    match ctx.run_job(Idle {}).await {
        Ok(result) => Ok(format!("got {result}")),
        Err(CallError::Fault(fault)) => Ok(fault.code().name().to_owned()),
        Err(other) => Ok(format!("{other:?}")),
    }
}

#[forge::mutation(internal)]
pub(super) async fn start_bereft(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Bereft {}).await
}

/// A run that sleeps, whose journal no node can read, and that has one try left when it wakes.
async fn unreadable(stage: &Stage) -> RunId {
    let run = stage.started(StartSleeper {}).await;
    stage.has_status(run, "waiting").await;
    stage.execute("UPDATE forge_workflow_steps SET error = '[]' WHERE position = '1'").await;
    let tries = CRASHES_MAX - 1;
    let spent = format!("UPDATE forge_workflow_runs SET crashes = {tries}, crashed_at = clock_timestamp()");
    stage.execute(&spent).await;
    stage.advance("2 hours").await;
    stage.has_status(run, "paused").await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_activations_fail_is_paused_and_goes_on_when_it_is_resumed() {
    let stage = Stage::open().await;
    let run = unreadable(&stage).await;
    let why: String = stage.value("SELECT error ->> 'message' FROM forge_workflow_runs").await;
    assert!(why.contains(&format!("{CRASHES_MAX} executions")) && why.contains("Resume the run"), "{why}");
    let shown = stage.call_in(None, ShowWorkflow { id: run }).await.unwrap();
    assert_eq!(shown["crashes"], json!(CRASHES_MAX));
    stage.execute("UPDATE forge_workflow_steps SET error = NULL").await;
    stage.call_in(None, ResumeWorkflow { id: run }).await.unwrap();
    assert_eq!(stage.ended(run).await.status, "completed");
    assert_eq!(stage.log(run).await, ["bed", "rise"]);
    let kept = "SELECT error IS NULL FROM forge_workflow_history";
    assert!(stage.value::<bool>(kept).await, "a run that completes has no error");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_paused_for_its_crashes_can_be_cancelled() {
    let stage = Stage::open().await;
    let run = unreadable(&stage).await;
    stage.execute("UPDATE forge_workflow_steps SET error = NULL").await;
    stage.call_in(None, CancelWorkflow { id: run, reason: None }).await.unwrap();
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.code()), ("cancelled", "CANCELLED"));
    assert_eq!(stage.log(run).await, ["bed", "undone"]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_to_be_cancelled_when_it_was_paused_still_is() {
    let stage = Stage::open().await;
    for resumes in [true, false] {
        let run = stage.started(StartSleeper {}).await;
        stage.has_status(run, "waiting").await;
        stage.execute("UPDATE forge_workflow_steps SET error = '[]' WHERE finished_at IS NOT NULL").await;
        let spent = format!(
            "UPDATE forge_workflow_runs SET crashes = {}, crashed_at = clock_timestamp(), request = 'cancel', due_at = now()",
            CRASHES_MAX - 1
        );
        stage.execute(&spent).await;
        stage.has_status(run, "paused").await;
        stage.execute("UPDATE forge_workflow_steps SET error = NULL").await;
        let again = match resumes {
            true => stage.call_in(None, ResumeWorkflow { id: run }).await,
            false => stage.call_in(None, CancelWorkflow { id: run, reason: None }).await,
        };
        again.unwrap();
        assert_eq!(stage.ended(run).await.status, "cancelled");
        assert_eq!(stage.log(run).await, ["bed", "undone"]);
    }
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_not_wait_for_a_job_that_was_deleted() {
    let stage = Stage::open().await;
    let run = stage.started(StartBereft {}).await;
    stage.has_status(run, "waiting").await;
    stage.execute("DELETE FROM forge_jobs").await;
    stage.execute("UPDATE forge_workflow_runs SET due_at = now()").await;
    assert_eq!(stage.ended(run).await.output, Some(json!("NOT_FOUND")));
    stage.close().await;
}
