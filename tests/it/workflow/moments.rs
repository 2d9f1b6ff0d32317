//! Waits until a moment, in place of a duration.

use forge::prelude::*;

use super::samples::Paid;
use super::stage::Stage;

/// Sleeps until `due`, waits for a payment until a day later, and returns when it was where.
#[forge::workflow(name = "moments.dunned")]
pub(super) async fn dunned(ctx: &WorkflowContext, order: u32, due: Timestamp) -> Result<Vec<Timestamp>> {
    ctx.sleep_until(due).await;
    let slept = ctx.now();
    let paid = ctx.wait_for::<Paid>(order).until(due + days(1)).await?;
    if paid.is_some() {
        return Err(Fault::new(Code::Conflict, "it was paid"));
    }
    Ok(vec![slept, ctx.now()])
}

#[forge::mutation(internal)]
pub(super) async fn start_dunned(ctx: &MutationContext, order: u32, due: Timestamp) -> Result<RunId> {
    ctx.start(Dunned { order, due }).await
}

fn now() -> Timestamp {
    Timestamp::from(std::time::SystemTime::now())
}

async fn due_of(stage: &Stage, position: &str) -> Timestamp {
    stage.value(&format!("SELECT due_at FROM forge_workflow_steps WHERE position = '{position}'")).await
}

#[tokio::test]
async fn a_sleep_and_a_wait_until_a_moment_end_then() {
    let stage = Stage::open().await;
    // Postgres has microseconds.
    let due = Timestamp::from_timestamp(now().timestamp() + 3 * 86_400, 0).unwrap();
    let run = stage.started(StartDunned { order: 1, due }).await;
    stage.has_status(run, "waiting").await;
    assert_eq!(due_of(&stage, "1").await, due, "the journal has the very moment");
    // The moment of the journal counts, whatever the code computes when it is resumed.
    let other = due + days(90);
    let change = format!(
        "UPDATE forge_workflow_runs SET input = jsonb_set(input::jsonb, '{{due}}', '\"{}\"')::json",
        other.to_rfc3339()
    );
    stage.execute(&change).await;
    stage.advance("3 days").await;
    forge_tests::until("the sleep is over", secs(20), || async {
        let waits = "SELECT count(*) FROM forge_workflow_steps WHERE position = '2' AND status = 'waiting'";
        let waits: i64 = stage.value(waits).await;
        (waits == 1).then_some(())
    })
    .await;
    assert_eq!(
        due_of(&stage, "2").await,
        other + days(1),
        "a wait that begins takes its moment from the code"
    );
    stage.advance("100 days").await;
    let ended = stage.ended(run).await;
    let times: Vec<Timestamp> = serde_json::from_value(ended.output.unwrap()).unwrap();
    assert!(times[0] <= times[1] && times[1] <= now() + secs(60), "{times:?}");
    stage.close().await;
}

#[tokio::test]
async fn a_moment_that_has_passed_is_no_wait_and_a_late_one_is_a_hundred_years_away() {
    let stage = Stage::open().await;
    let passed = stage.started(StartDunned { order: 2, due: now() - days(2) }).await;
    assert_eq!(stage.ended(passed).await.status, "completed");
    stage.execute("DELETE FROM forge_workflow_steps").await;
    let late = stage.started(StartDunned { order: 3, due: now() + days(365 * 7_000) }).await;
    stage.has_status(late, "waiting").await;
    let (due, longest) = (due_of(&stage, "1").await, now() + days(36_500));
    assert!(due <= longest && due > longest - minutes(5), "{due}");
    stage.close().await;
}
