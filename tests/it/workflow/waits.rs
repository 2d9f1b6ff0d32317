//! Waits are rows: for a time, an event, a signal, a child, a job.

use std::time::Duration;

use forge_actors::dashboard::workflow_commands::{
    CancelWorkflow, PauseWorkflow, ResumeWorkflow, RetryWorkflow,
};
use forge_actors::dashboard::workflows::ShowWorkflow;
use forge_tests::until;
use serde_json::json;

use super::operating::admin;
use super::samples::*;
use super::stage::Stage;

/// Longer than any of these tests takes.
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_event_ends_the_wait_that_it_was_emitted_for() {
    let stage = Stage::open().await;
    let run = stage.started(BeginPayment { order: 1 }).await;
    let other = stage.started(BeginPayment { order: 2 }).await;
    assert_eq!(stage.started(BeginPayment { order: 1 }).await, run, "a start with the same id finds the run");
    stage.has_status(run, "waiting").await;
    stage.has_status(other, "waiting").await;
    assert_eq!(stage.node.workflows.active(), 0, "a run that waits is rows");
    assert_eq!(stage.call(Pay { order: 1, amount: 5 }).await, json!(true));
    assert_eq!(stage.call(Pay { order: 1, amount: 5 }).await, json!(false), "the second one does not count");
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.output), ("completed", Some(json!(5))));
    assert_eq!(stage.log(run).await, ["begin", "end"], "each step has run once");
    stage.advance("61 minutes").await;
    assert_eq!(stage.ended(other).await.output, Some(json!(null)), "the other one runs into its time limit");
    assert_eq!(stage.started(BeginPayment { order: 1 }).await, run, "also when it has ended");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_before_the_wait_are_kept_and_each_is_consumed_once() {
    let stage = Stage::open().await;
    let run = stage.started(BeginInstallments { order: 7 }).await;
    for amount in [1, 2, 3, 4] {
        stage.call(Pay { order: 7, amount }).await;
    }
    let ended = stage.ended(run).await;
    let mut amounts: Vec<u32> = serde_json::from_value(ended.output.unwrap()).unwrap();
    amounts.sort_unstable();
    assert_eq!(amounts, [1, 2, 3, 4]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_side_by_side_that_find_the_same_event_receive_one_each() {
    let stage = Stage::open().await;
    let run = stage.started(BeginInstallments { order: 7 }).await;
    stage.has_status(run, "waiting").await;
    admin(&stage, PauseWorkflow { id: run }).await.unwrap();
    for amount in [1, 2, 3, 4] {
        stage.call(Pay { order: 7, amount }).await;
    }
    until("all are routed: none comes later", LIMIT, || async {
        let open = "SELECT count(*) FROM forge_workflow_events WHERE NOT routed";
        (stage.value::<i64>(open).await == 0).then_some(())
    })
    .await;
    admin(&stage, ResumeWorkflow { id: run }).await.unwrap();
    let mut amounts: Vec<u32> = serde_json::from_value(stage.ended(run).await.output.unwrap()).unwrap();
    amounts.sort_unstable();
    assert_eq!(amounts, [1, 2, 3, 4]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_comes_with_the_start_and_one_later_are_received_in_order() {
    let stage = Stage::open().await;
    let run = stage.started(BeginNudged {}).await;
    stage.has_status(run, "waiting").await;
    stage.call(NudgeRun { run, text: "later".to_owned() }).await;
    assert_eq!(stage.ended(run).await.output, Some(json!("now later")));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_sleeps_for_days_goes_on_when_they_have_passed() {
    let stage = Stage::open().await;
    let run = stage.started(BeginTrial {}).await;
    stage.has_status(run, "waiting").await;
    stage.advance("44 days").await;
    stage.has_status(run, "waiting").await;
    stage.advance("25 hours").await;
    let ended = stage.ended(run).await;
    assert_eq!(ended.status, "completed");
    assert_eq!(stage.log(run).await, ["end"]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_children_and_jobs_and_gets_their_results() {
    let stage = Stage::open().await;
    let run = stage.started(BeginFamily {}).await;
    let sleeping = "SELECT count(*) FROM forge_workflow_runs \
                    WHERE parent_id IS NOT NULL AND status = 'waiting' AND due_at > now()";
    let ended = "SELECT count(*) FROM forge_workflow_history WHERE parent_id IS NOT NULL";
    for child in 1..=2 {
        until("the child sleeps", LIMIT, || async {
            (stage.value::<i64>(sleeping).await == 1).then_some(())
        })
        .await;
        stage.advance("2 hours").await;
        until("the child has ended", LIMIT, || async {
            (stage.value::<i64>(ended).await == child).then_some(())
        })
        .await;
    }
    let ended = stage.ended(run).await;
    let output = ended.output.unwrap();
    assert_eq!((&output[0], &output[1], &output[2]), (&json!("8"), &json!("unlucky"), &json!("15")));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sees_what_a_start_or_a_dispatch_has_found_alike_each_time() {
    let stage = Stage::open().await;
    let run = stage.started(BeginLatecomer {}).await;
    stage.has_status(run, "waiting").await;
    let child: uuid::Uuid =
        stage.value("SELECT id FROM forge_workflow_runs WHERE parent_id IS NOT NULL").await;
    let job: uuid::Uuid = stage.value("SELECT id FROM forge_jobs").await;
    stage.advance("25 hours").await;
    let ended = stage.ended(run).await;
    let seen =
        format!("[New(RunId({child}))] Existing(RunId({child})) New(JobId({job})) Existing(JobId({job}))");
    assert_eq!(ended.output, Some(json!([seen, seen, 4])), "{ended:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_as_a_new_one_under_the_same_id() {
    let stage = Stage::open().await;
    let run = stage.started(BeginCountdown { left: 2 }).await;
    let ended = stage.ended(run).await;
    assert_eq!(ended.status, "continued");
    let last = "SELECT id FROM forge_workflow_history WHERE status = 'completed'";
    until("the last run has ended", LIMIT, || async {
        let found: Option<uuid::Uuid> =
            sqlx::query_scalar(last).fetch_optional(&mut stage.scratch.connect().await).await.unwrap();
        found
    })
    .await;
    let chain = "SELECT count(*) FROM forge_workflow_history WHERE status = 'continued' AND steps = 1";
    assert_eq!(stage.value::<i64>(chain).await, 2, "each has a journal of its own");
    let named = "SELECT count(*) FROM forge_workflow_keys JOIN forge_workflow_history ON run_id = id WHERE status = 'completed'";
    assert_eq!(stage.value::<i64>(named).await, 1, "the id names the last one");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_run_that_goes_on_as_a_new_one_waits_for_the_last() {
    let stage = Stage::open().await;
    let parent = stage.started(BeginLaunch {}).await;
    assert_eq!(stage.ended(parent).await.output, Some(json!("done")));
    let first = stage.started(BeginCountdown { left: 2 }).await;
    assert_eq!(stage.ended(first).await.status, "continued");
    let spectator = stage.started(BeginSpectator { run: first }).await;
    assert_eq!(stage.ended(spectator).await.output, Some(json!("done")));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_was_not_received_waits_for_the_run_that_goes_on() {
    let stage = Stage::open().await;
    stage.started(BeginRelay {}).await;
    let last = "SELECT output::text FROM forge_workflow_history WHERE status = 'completed'";
    let output = until("the last run has ended", LIMIT, || async {
        let found: Option<String> =
            sqlx::query_scalar(last).fetch_optional(&mut stage.scratch.connect().await).await.unwrap();
        found
    });
    assert_eq!(output.await, r#"["one","two"]"#);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_fit_its_type_parks_the_run_until_code_fits() {
    let stage = Stage::open().await;
    let runs =
        [stage.started(BeginPayment { order: 7 }).await, stage.started(BeginInstallments { order: 7 }).await];
    for run in runs {
        stage.has_status(run, "waiting").await;
    }
    // As a binary emits it whose event has another form.
    let emit = r#"INSERT INTO forge_workflow_events (event, key, payload) VALUES ('samples.paid', '7', '{"order": 7}')"#;
    stage.execute(emit).await;
    for run in runs {
        stage.has_status(run, "diverged").await;
    }
    let shown = admin(&stage, ShowWorkflow { id: runs[0] }).await.unwrap();
    let event: i64 = stage.value("SELECT id FROM forge_workflow_events").await;
    assert_eq!(
        shown["divergence"],
        json!({
            "position": "2",
            "expected": format!("`samples.paid` (event) with the payload of the event {event}"),
            "found": "`samples.paid` (event) of a type that it does not fit: missing field `amount` at line 1 column 12",
        })
    );
    let consumed = "SELECT count(*) FROM forge_workflow_steps WHERE event_id IS NOT NULL";
    assert_eq!(stage.value::<i64>(consumed).await, 0);
    // It waits for nothing that does not fit when it is cancelled.
    admin(&stage, CancelWorkflow { id: runs[1], reason: None }).await.unwrap();
    assert_eq!(stage.ended(runs[1]).await.status, "cancelled");

    admin(&stage, RetryWorkflow { id: runs[0], from_step: None }).await.unwrap();
    stage.has_status(runs[0], "diverged").await;
    stage.execute(r#"UPDATE forge_workflow_events SET payload = '{"order": 7, "amount": 3}'"#).await;
    admin(&stage, RetryWorkflow { id: runs[0], from_step: None }).await.unwrap();
    assert_eq!(stage.ended(runs[0]).await.output, Some(json!(3)));
    assert_eq!(stage.log(runs[0]).await, ["begin", "end"]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_emitted_before_the_run_began_and_committed_later_is_received() {
    let stage = Stage::open().await;
    let mut session = stage.scratch.connect().await;
    let emit = r#"BEGIN; INSERT INTO forge_workflow_events (event, key, payload)
                  VALUES ('samples.paid', '7', '{"order": 7, "amount": 3}')"#;
    sqlx::raw_sql(emit).execute(&mut session).await.unwrap();
    let run = stage.started(BeginPayment { order: 7 }).await;
    stage.has_status(run, "waiting").await;
    sqlx::raw_sql("COMMIT").execute(&mut session).await.unwrap();
    assert_eq!(stage.ended(run).await.output, Some(json!(3)));
    stage.close().await;
}
