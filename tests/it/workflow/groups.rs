//! Branches side by side.

use serde_json::json;

use super::samples::*;
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_winner_of_a_race_is_recorded_and_the_loser_never_goes_on() {
    let stage = Stage::open().await;
    let run = stage.started(BeginRace { order: 1 }).await;
    stage.has_status(run, "waiting").await;
    stage.call(Pay { order: 1, amount: 3 }).await;
    let slept = "SELECT count(*) FROM forge_workflow_steps WHERE position = '3' AND kind = 'sleep'";
    forge_tests::until("the race is over", std::time::Duration::from_secs(20), || async {
        (stage.value::<i64>(slept).await == 1).then_some(())
    })
    .await;
    let of_losers =
        "SELECT count(*) FROM forge_workflow_steps WHERE finished_at IS NULL AND position LIKE '%.%'";
    assert_eq!(stage.value::<i64>(of_losers).await, 0, "nobody waits for what the other branch waited for");
    stage.advance("3 hours").await;
    assert_eq!(stage.ended(run).await.output, Some(json!("paid 3")));
    assert_eq!(stage.log(run).await, Vec::<String>::new());
    let other = stage.started(BeginRace { order: 2 }).await;
    stage.has_status(other, "waiting").await;
    stage.advance("61 minutes").await;
    forge_tests::until(
        "the step of the second branch has run",
        std::time::Duration::from_secs(20),
        || async { (stage.log(other).await == ["late"]).then_some(()) },
    )
    .await;
    stage.has_status(other, "waiting").await;
    stage.advance("61 minutes").await;
    assert_eq!(stage.ended(other).await.output, Some(json!("late 4")));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_branches_run_side_by_side_and_one_more_is_refused() {
    let stage = Stage::open().await;
    let run = stage.started(BeginDoubles { count: 1_000 }).await;
    assert_eq!(stage.ended(run).await.output, Some(json!(999_000)));
    let refused = stage.started(BeginDoubles { count: 1_001 }).await;
    let ended = stage.ended(refused).await;
    assert_eq!((ended.status.as_str(), ended.code()), ("failed", "PAYLOAD_TOO_LARGE"));
    stage.close().await;
}
