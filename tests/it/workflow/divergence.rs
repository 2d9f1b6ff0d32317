//! Runs whose code does not fit their journal: what becomes of a request to cancel them, and of the reason
//! for which they were being compensated.

use forge::prelude::*;
use forge_actors::dashboard::workflow_commands::{CancelWorkflow, RetryWorkflow};
use forge_actors::dashboard::workflows::ShowWorkflow;
use serde_json::{Value, json};

use super::operating::admin;
use super::samples::BeginSaga;
use super::stage::Stage;

/// What the saga writes, and takes back.
const COMPENSATED: [&str; 4] = ["undo four", "undo three", "undo two", "undo one"];

/// A saga that sleeps, and whose journal has another name for its first step than the code.
async fn with_other_code(stage: &Stage) -> RunId {
    let run = stage.started(BeginSaga { fails: true }).await;
    stage.has_status(run, "waiting").await;
    stage.execute("UPDATE forge_workflow_steps SET name = 'eins' WHERE position = '1'").await;
    run
}

/// What its journal has, and what its code does instead.
fn difference() -> Value {
    json!({ "position": "1", "expected": "`eins` (call)", "found": "`one` (call)" })
}

/// Lets the code fit again, and tries the run again.
async fn retry_with_fitting_code(stage: &Stage, id: RunId) {
    stage.execute("UPDATE forge_workflow_steps SET name = 'one' WHERE position = '1'").await;
    admin(stage, RetryWorkflow { id, from_step: None }).await.unwrap();
}

async fn undone(stage: &Stage, run: RunId) -> Vec<String> {
    let mut undone = stage.log(run).await.split_off(4);
    // The two branches end in either order.
    undone[..3].sort_unstable();
    undone
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diverged_run_is_cancelled_by_code_that_fits_and_says_so_until_then() {
    let stage = Stage::open().await;
    let run = with_other_code(&stage).await;
    stage.execute("UPDATE forge_workflow_runs SET due_at = now()").await;
    stage.has_status(run, "diverged").await;
    let cancelled = admin(&stage, CancelWorkflow { id: run, reason: None }).await.unwrap();
    let message = cancelled["message"].as_str().unwrap();
    assert!(message.contains("code that fits its journal") && message.contains("termination"), "{message}");
    stage.has_status(run, "diverged").await;
    let shown = admin(&stage, ShowWorkflow { id: run }).await.unwrap();
    let error = shown["run"]["error"]["message"].as_str().unwrap();
    assert!(error.starts_with("expected step 1 `eins` (call), found `one` (call)"), "{error}");
    assert!(error.contains("to be cancelled") && error.contains("terminate"), "{error}");
    assert_eq!(shown["divergence"], difference());
    assert_eq!(shown["run"]["request"], json!("cancel"));
    let refused = admin(&stage, CancelWorkflow { id: run, reason: None }).await.unwrap_err();
    assert!(refused.message().contains("retry it with code that fits, or terminate"), "{refused}");
    assert_eq!(stage.log(run).await.len(), 4, "nothing was taken back");

    retry_with_fitting_code(&stage, run).await;
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.code()), ("cancelled", "CANCELLED"));
    let shown = admin(&stage, ShowWorkflow { id: run }).await.unwrap();
    assert_eq!(shown["divergence"], Value::Null);
    let mut expected = COMPENSATED;
    expected[..3].sort_unstable();
    assert_eq!(undone(&stage, run).await, expected);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_diverges_while_it_is_compensated_keeps_the_reason() {
    let stage = Stage::open().await;
    let run = with_other_code(&stage).await;
    // As its node leaves it that is killed before the first compensation.
    let reason = r#"{"code": "REFUSED", "message": "no funds", "details": {"why": "no"}, "isOwn": true}"#;
    let ending =
        "UPDATE forge_workflow_runs SET status = 'ready', due_at = now(), ending = 'failed', error = ";
    stage.execute(&format!("{ending} '{reason}'")).await;
    stage.has_status(run, "diverged").await;
    let shown = admin(&stage, ShowWorkflow { id: run }).await.unwrap();
    let error = shown["run"]["error"]["message"].as_str().unwrap();
    assert_eq!(error, "expected step 1 `eins` (call), found `one` (call)");
    assert_eq!(shown["divergence"], difference());
    assert_eq!(shown["ending"], json!("failed"));
    assert_eq!(shown["cause"], json!({ "code": "REFUSED", "message": "no funds" }));

    retry_with_fitting_code(&stage, run).await;
    let ended = stage.ended(run).await;
    assert_eq!(ended.status, "failed");
    assert_eq!(ended.error, Some(serde_json::from_str(reason).unwrap()), "the run ends with the reason");
    let mut expected = COMPENSATED;
    expected[..3].sort_unstable();
    assert_eq!(undone(&stage, run).await, expected);
    stage.close().await;
}
