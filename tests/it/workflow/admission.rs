//! Admission: runs and steps that hang leave places to those of other workflows.

use std::future::pending;

use forge::prelude::*;
use forge_actors::dashboard::workflow_commands::TerminateWorkflow;
use forge_actors::kernel::time::millis;
use forge_actors::workflow::config::WorkflowConfig;
use forge_tests::until;
use serde_json::json;

use super::operating::admin;
use super::samples::{BeginDoubles, StartThree};
use super::stage::Stage;

/// A run whose steps, so many side by side, hang.
#[forge::workflow]
async fn hang(ctx: &WorkflowContext, steps: u32) -> Result<()> {
    let hanging = |_| ctx.step("hang", || async { pending::<Result<()>>().await }).timeout(days(1));
    ctx.join_all((0..steps).map(hanging)).await?;
    Ok(())
}

#[forge::action(internal)]
async fn begin_hang(ctx: &ActionContext, steps: u32) -> Result<RunId> {
    ctx.start(Hang { steps }).await
}

fn config(active_max: u32, steps_max: u32) -> WorkflowConfig {
    let drain_timeout = millis(100);
    WorkflowConfig {
        active_max,
        steps_max,
        poll_interval: millis(200),
        drain_timeout,
        ..WorkflowConfig::default()
    }
}

/// Waits until two of the runs that hang are active, which is their share.
async fn two_hang(stage: &Stage) -> Vec<RunId> {
    let sql = "SELECT id FROM forge_workflow_runs WHERE workflow = 'admission.hang' AND status = 'running' ORDER BY id";
    until("two runs hang", Duration::from_secs(20), || async {
        let running: Vec<RunId> =
            sqlx::query_scalar(sql).fetch_all(&mut stage.scratch.connect().await).await.unwrap();
        (running.len() == 2).then_some(running)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_whose_runs_hang_leaves_places_to_others() {
    let stage = Stage::with(config(4, 100)).await;
    for _ in 0..6 {
        stage.started(BeginHang { steps: 1 }).await;
    }
    let first = two_hang(&stage).await;
    // More of them than places, so that places are taken and given back.
    let mut others = Vec::new();
    for times in 0..8 {
        others.push(stage.started(StartThree { times }).await);
    }
    for run in others {
        assert_eq!(stage.ended(run).await.status, "completed");
    }
    assert_eq!(two_hang(&stage).await, first);
    // The next ones follow when those that hang are gone.
    for id in &first {
        admin(&stage, TerminateWorkflow { id: *id, reason: None }).await.unwrap();
    }
    let next = two_hang(&stage).await;
    assert!(next.iter().all(|run| !first.contains(run)));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_steps_hang_leaves_steps_to_others() {
    let stage = Stage::with(config(100, 8)).await;
    // Each run has two of the four steps of its workflow, which has half of all.
    let hanging = stage.started(BeginHang { steps: 50 }).await;
    stage.has_status(hanging, "running").await;
    let another = stage.started(BeginHang { steps: 50 }).await;
    stage.has_status(another, "running").await;
    let doubles = stage.started(BeginDoubles { count: 50 }).await;
    assert_eq!(stage.ended(doubles).await.output, Some(json!(2_450)));
    let three = stage.started(StartThree { times: 1 }).await;
    assert_eq!(stage.ended(three).await.status, "completed");
    stage.close().await;
}
