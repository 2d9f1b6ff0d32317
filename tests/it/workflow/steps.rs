//! Steps run once and are recorded.

use serde_json::json;

use super::samples::*;
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_executes_its_steps_and_ends_with_its_result() {
    let stage = Stage::open().await;
    let run = stage.started(StartThree { times: 2 }).await;
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.output), ("completed", Some(json!(6 * 2 * 2 + 12))));
    assert_eq!(stage.log(run).await, ["note 0", "note 1", "by an action"]);
    let journal: Vec<(String, String, String, i32)> = sqlx::query_as(
        "SELECT position, kind::text, name, number FROM forge_workflow_steps WHERE run_id = $1 ORDER BY position",
    )
    .bind(run)
    .fetch_all(&mut stage.scratch.connect().await)
    .await
    .unwrap();
    let row = |position: &str, kind: &str, name: &str, number| {
        (position.to_owned(), kind.to_owned(), name.to_owned(), number)
    };
    assert_eq!(
        journal,
        [
            row("1", "call", "note", 1),
            row("2", "call", "note", 2),
            row("3", "closure", "double", 3),
            row("4", "closure", "act", 4)
        ]
    );
    let alone = stage.started(StartThreeAlone { times: 1 }).await;
    assert_eq!(stage.ended(alone).await.status, "completed");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_commits_its_effect_and_its_step_together_or_neither() {
    let stage = Stage::open().await;
    let run = stage.started(BeginReserve {}).await;
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.output), ("completed", Some(json!("1"))));
    assert_eq!(stage.log(run).await, ["reserved"]);
    stage.close().await;
}
