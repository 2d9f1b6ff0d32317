//! Versions: a run keeps the one that it began with, code that does not fit a journal parks the run, and a
//! migration brings a journal to the next version.

use serde_json::json;

use super::stage::Stage;
use super::versioned::*;

/// Makes runs of version 1 whose journal was written by the function of that version.
async fn at_version(stage: &Stage, workflow: &str, version: u32) -> forge_actors::kernel::ids::RunId {
    let run = stage.started(BeginVersioned { id: version }).await;
    stage.has_status(run, "waiting").await;
    let change = format!("UPDATE forge_workflow_runs SET workflow = '{workflow}', version = {version}");
    stage.execute(&change).await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_its_version_and_a_new_one_begins_with_the_newest() {
    let stage = Stage::open().await;
    let run = stage.started(BeginVersioned { id: 0 }).await;
    stage.has_status(run, "waiting").await;
    let version = "SELECT version FROM forge_workflow_runs";
    assert_eq!(stage.value::<i32>(version).await, 2);
    stage.execute("UPDATE forge_workflow_runs SET version = 1").await;
    stage.advance("2 days").await;
    assert_eq!(stage.ended(run).await.output, Some(json!("one: first second")));
    let run = stage.started(BeginVersioned { id: 1 }).await;
    stage.has_status(run, "waiting").await;
    stage.advance("2 days").await;
    assert_eq!(stage.ended(run).await.output, Some(json!("two: first second")));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_asks_for_another_step_parks_the_run_with_the_difference() {
    let stage = Stage::open().await;
    for (workflow, difference) in [
        ("versioned.renamed", "expected step 1 `first` (closure), found `erste` (closure)"),
        ("versioned.reordered", "expected step 1 `first` (closure), found `sleep` (sleep)"),
        (
            "versioned.retyped",
            "expected step 1 `first` (closure) with the arguments and result of its run, found `first` \
             (closure) with other arguments or another result",
        ),
        ("versioned.shortened", "expected step 1 `first` (closure), and the code ended before it"),
    ] {
        let run = at_version(&stage, workflow, 1).await;
        stage.advance("2 days").await;
        stage.has_status(run, "diverged").await;
        let error = "SELECT error->>'message' FROM forge_workflow_runs WHERE status = 'diverged'";
        assert_eq!(stage.value::<String>(error).await, difference);
        assert_eq!(stage.log(run).await, Vec::<String>::new(), "nothing was executed");
        // The code that fits goes on.
        stage
            .execute(
                "UPDATE forge_workflow_runs SET workflow = 'versioned.flow', version = 2, status = 'ready', \
                 due_at = now()",
            )
            .await;
        assert_eq!(stage.ended(run).await.output, Some(json!("two: first second")));
    }
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_brings_a_journal_to_the_version_that_is_linked() {
    let stage = Stage::open().await;
    let run = at_version(&stage, "versioned.migrated", 1).await;
    stage.execute("UPDATE forge_workflow_runs SET input = '{\"id\": 1}'").await;
    stage.advance("2 days").await;
    let ended = stage.ended(run).await;
    assert_eq!(ended.output, Some(json!("added renamed 5 last")), "{ended:?}");
    let positions =
        "SELECT string_agg(position || ' ' || name, ', ' ORDER BY position) FROM forge_workflow_steps";
    assert_eq!(stage.value::<String>(positions).await, "1 added, 2 renamed, 3 sleep, 4 last");
    assert_eq!(stage.value::<i32>("SELECT version FROM forge_workflow_history").await, 2);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_parks_the_run_as_it_is() {
    let stage = Stage::open().await;
    let run = at_version(&stage, "versioned.migrated", 1).await;
    let input = json!({ "id": UNMIGRATED });
    stage.execute(&format!("UPDATE forge_workflow_runs SET input = '{input}'")).await;
    let row = "SELECT concat_ws(' ', version, steps, journal_bytes > 0, input) FROM forge_workflow_runs";
    let journal = "SELECT string_agg(position || ' ' || name || ' ' || coalesce(output::text, '-'), ', ' \
                   ORDER BY position) FROM forge_workflow_steps";
    let (row_before, journal_before) =
        (stage.value::<String>(row).await, stage.value::<String>(journal).await);
    stage.advance("2 days").await;
    stage.has_status(run, "diverged").await;
    let error = "SELECT error->>'message' FROM forge_workflow_runs";
    assert_eq!(
        stage.value::<String>(error).await,
        "the migration from version 1 to 2 has failed: this run is not to be migrated"
    );
    assert_eq!(stage.value::<String>(row).await, row_before);
    assert_eq!(stage.value::<String>(journal).await, journal_before);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_node_takes_a_run_that_it_has_no_code_for() {
    let stage = Stage::open().await;
    let run = at_version(&stage, "versioned.flow", 9).await;
    stage.advance("2 days").await;
    let known = stage.started(BeginVersioned { id: 2 }).await;
    stage.has_status(known, "waiting").await;
    stage.has_status(run, "waiting").await;
    let claims = format!("SELECT claim FROM forge_workflow_runs WHERE id = '{run}'");
    assert_eq!(stage.value::<i32>(&claims).await, 1);
    stage.close().await;
}
