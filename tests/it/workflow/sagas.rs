//! Compensation: what has completed is taken back, the last one first.

use super::samples::*;
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_takes_back_what_has_completed_in_reverse_order() {
    let stage = Stage::open().await;
    let run = stage.started(BeginSaga { fails: true }).await;
    stage.has_status(run, "waiting").await;
    stage.advance("25 hours").await;
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.code()), ("failed", "REFUSED"));
    let mut expected = stage.log(run).await;
    let undone = expected.split_off(4);
    expected.reverse();
    assert_eq!(undone, expected.iter().map(|entry| format!("undo {entry}")).collect::<Vec<_>>());
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_is_cancelled_and_compensated() {
    let stage = Stage::open().await;
    let run = stage.started(BeginSaga { fails: false }).await;
    stage.has_status(run, "waiting").await;
    stage
        .execute(
            "UPDATE forge_workflow_runs SET request = 'cancel', status = 'ready', due_at = clock_timestamp()",
        )
        .await;
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.code()), ("cancelled", "CANCELLED"));
    assert_eq!(stage.log(run).await.len(), 8);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_reaches_its_time_limit_fails_and_is_compensated() {
    let stage = Stage::open().await;
    let run = stage.started(BeginSaga { fails: false }).await;
    stage.has_status(run, "waiting").await;
    stage.execute("UPDATE forge_workflow_runs SET deadline_at = now(), due_at = now()").await;
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.code()), ("failed", "TIMEOUT"));
    assert_eq!(stage.log(run).await.len(), 8);
    stage.close().await;
}
