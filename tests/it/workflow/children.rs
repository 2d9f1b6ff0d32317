//! Children of a run that is compensated: they end first.

use forge::prelude::*;
use forge_actors::dashboard::workflow_commands::CancelWorkflow;
use forge_actors::dashboard::workflows::ShowWorkflow;
use serde_json::json;

use super::samples::Note;
use super::stage::Stage;

/// Takes a note and waits.
#[forge::workflow(name = "children.child")]
pub(super) async fn child(ctx: &WorkflowContext, parent: RunId) -> Result<u32> {
    let note = move |entry: &str| Note { run: parent, entry: entry.to_owned() };
    ctx.step("work", note("child works")).compensate(move |_| note("child undone")).await?;
    ctx.sleep(days(1)).await;
    Ok(1)
}

/// Starts two children, and waits for the second one.
#[forge::workflow(name = "children.parent")]
pub(super) async fn parent(ctx: &WorkflowContext) -> Result<u32> {
    let run = ctx.run_id();
    let note = move |entry: &str| Note { run, entry: entry.to_owned() };
    ctx.step("work", note("parent works")).compensate(move |_| note("parent undone")).await?;
    ctx.start(Child { parent: run }).await?;
    Ok(ctx.run_child(Child { parent: run }).await?)
}

#[forge::mutation(internal)]
pub(super) async fn start_parent(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Parent {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_compensated_after_its_children_have_ended() {
    let stage = Stage::open().await;
    let run = stage.started(StartParent {}).await;
    forge_tests::until("both children have begun", std::time::Duration::from_secs(20), || async {
        (stage.log(run).await.len() == 3).then_some(())
    })
    .await;
    stage.has_status(run, "waiting").await;
    stage.call_in(None, CancelWorkflow { id: run, reason: None }).await.unwrap();
    assert_eq!(stage.ended(run).await.status, "cancelled");
    let expected =
        ["parent works", "child works", "child works", "child undone", "child undone", "parent undone"];
    assert_eq!(stage.log(run).await, expected);
    let waited = "SELECT count(*) FROM forge_workflow_events WHERE event = 'forge.run'";
    forge_tests::until("the ends of the children are routed", std::time::Duration::from_secs(20), || async {
        (stage.value::<i64>(waited).await == 0).then_some(())
    })
    .await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_compensated_shows_which_children_it_waits_for() {
    let stage = Stage::open().await;
    let run = stage.started(StartParent {}).await;
    forge_tests::until("both children have begun", std::time::Duration::from_secs(20), || async {
        (stage.log(run).await.len() == 3).then_some(())
    })
    .await;
    stage.has_status(run, "waiting").await;
    let awaited = async || {
        let shown = stage.call_in(None, ShowWorkflow { id: run }).await.unwrap();
        let children = shown["children"].as_array().unwrap();
        let awaited = children.iter().filter(|child| child["isAwaited"] == true);
        (shown["run"]["status"].clone(), awaited.map(|child| child["version"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(awaited().await, (json!("waiting"), vec![]));
    // No node has code for the older one.
    let older = "UPDATE forge_workflow_runs SET version = 99
                 WHERE id = (SELECT id FROM forge_workflow_runs WHERE parent_id IS NOT NULL ORDER BY id LIMIT 1)";
    stage.execute(older).await;
    stage.call_in(None, CancelWorkflow { id: run, reason: None }).await.unwrap();
    forge_tests::until("the other child has ended", std::time::Duration::from_secs(20), || async {
        (awaited().await == (json!("compensating"), vec![json!(99)])).then_some(())
    })
    .await;
    stage.execute("UPDATE forge_workflow_runs SET version = 1").await;
    assert_eq!(stage.ended(run).await.status, "cancelled");
    assert_eq!(awaited().await, (json!("cancelled"), vec![]));
    stage.close().await;
}
