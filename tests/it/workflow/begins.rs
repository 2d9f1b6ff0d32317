//! Runs that a node begins with their start, without a claim; and those that it leaves to be claimed.

use forge::prelude::*;
use forge_actors::kernel::time::{millis, secs};
use forge_actors::workflow::config::WorkflowConfig;
use forge_tests::until;
use serde_json::json;

use super::stage::Stage;

/// A run that returns at once, or has a step that hangs.
#[forge::workflow(name = "begins.begun")]
async fn begun(ctx: &WorkflowContext, waits: bool) -> Result<u32> {
    if waits {
        ctx.step("hang", || async { std::future::pending::<Result<()>>().await }).await?;
    }
    Ok(7)
}

#[forge::action(internal)]
async fn begin(ctx: &ActionContext, waits: bool) -> Result<RunId> {
    ctx.start(Begun { waits }).await
}

#[forge::mutation(internal)]
async fn begin_in_transaction(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Begun { waits: false }).await
}

/// The status that each run was inserted with, in the order of the starts.
const INSERTED: &str = "SELECT coalesce(string_agg(status, ' ' ORDER BY number), '') FROM inserted";

async fn stage(active_max: u32) -> Stage {
    let config = WorkflowConfig {
        active_max,
        workflow_share: 1.0,
        poll_interval: millis(200),
        drain_timeout: millis(100),
        ..WorkflowConfig::default()
    };
    let stage = Stage::with(config).await;
    for statement in [
        "CREATE TABLE inserted (number int8 GENERATED ALWAYS AS IDENTITY, status text NOT NULL)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO inserted (status) VALUES (NEW.status); RETURN NULL; END $$",
        "CREATE TRIGGER note AFTER INSERT ON forge_workflow_runs FOR EACH ROW EXECUTE FUNCTION note()",
    ] {
        stage.execute(statement).await;
    }
    stage
}

/// Has the node hold a lease, and nothing due.
async fn with_lease(stage: &Stage) {
    let run = stage.started(Begin { waits: false }).await;
    stage.ended(run).await;
    // The claim after it has found nothing more.
    until("runs are begun with their start", secs(20), || async {
        stage.execute("TRUNCATE inserted RESTART IDENTITY").await;
        let run = stage.started(Begin { waits: false }).await;
        stage.ended(run).await;
        (stage.value::<String>(INSERTED).await == "running").then_some(())
    })
    .await;
    stage.execute("TRUNCATE inserted RESTART IDENTITY").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_begins_its_run_where_the_node_has_a_lease_and_places() {
    let stage = stage(100).await;
    with_lease(&stage).await;
    let run = stage.started(Begin { waits: false }).await;
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.output), ("completed", Some(json!(7))));
    assert_eq!(stage.value::<String>(INSERTED).await, "running");
    let claims = format!("SELECT claim FROM forge_workflow_history WHERE id = '{run}'");
    assert_eq!(stage.value::<i32>(&claims).await, 1, "it was activated once");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_begins_runs_with_their_start_up_to_a_quarter_of_its_places() {
    let stage = stage(8).await;
    with_lease(&stage).await;
    for _ in 0..4 {
        let run = stage.started(Begin { waits: true }).await;
        stage.has_status(run, "running").await;
    }
    assert_eq!(stage.value::<String>(INSERTED).await, "running running ready ready");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_under_a_lease_that_is_lost_leaves_its_run_to_be_claimed() {
    let stage = stage(100).await;
    with_lease(&stage).await;
    stage.execute("UPDATE forge_workflow_owners SET lost_at = clock_timestamp()").await;
    let run = stage.started(Begin { waits: false }).await;
    assert_eq!(stage.ended(run).await.status, "completed");
    assert_eq!(stage.value::<String>(INSERTED).await, "ready", "the row of the lease was looked at");
    let places = "SELECT count(*) FROM forge_workflow_runs";
    assert_eq!(stage.value::<i64>(places).await, 0);
    // The place that was reserved for it is free again.
    for _ in 0..3 {
        let run = stage.started(Begin { waits: false }).await;
        assert_eq!(stage.ended(run).await.status, "completed");
    }
    until("no run is active", secs(20), || async { (stage.node.workflows.active() == 0).then_some(()) })
        .await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_under_which_a_run_is_begun_is_kept_while_its_start_takes_long() {
    let stage = stage(100).await;
    with_lease(&stage).await;
    // Longer than the time after which a lease that is not used is given up.
    for statement in [
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(7); RETURN NULL; END $$",
        "CREATE TRIGGER slow AFTER INSERT ON forge_workflow_runs FOR EACH ROW EXECUTE FUNCTION slow()",
    ] {
        stage.execute(statement).await;
    }
    let run = stage.started(Begin { waits: false }).await;
    assert_eq!(stage.ended(run).await.status, "completed");
    let claims = format!("SELECT claim FROM forge_workflow_history WHERE id = '{run}'");
    assert_eq!(stage.value::<i32>(&claims).await, 1, "it was not released and claimed again");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_under_which_a_run_is_claimed_is_kept_while_the_claim_takes_long() {
    let stage = stage(100).await;
    for statement in [
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(7); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE UPDATE ON forge_workflow_runs FOR EACH ROW
             WHEN (NEW.status = 'running' AND OLD.status = 'ready') EXECUTE FUNCTION slow()",
    ] {
        stage.execute(statement).await;
    }
    let run = stage.started(BeginInTransaction {}).await;
    assert_eq!(stage.ended(run).await.status, "completed");
    assert_eq!(stage.value::<String>(INSERTED).await, "ready");
    let claims = format!("SELECT claim FROM forge_workflow_history WHERE id = '{run}'");
    assert_eq!(stage.value::<i32>(&claims).await, 1, "it was not released and claimed again");
    stage.close().await;
}
