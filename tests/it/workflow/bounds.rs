//! The limits of a run: what fits goes through, and one more fails with a sentence that says what helps.

use std::fs;
use std::time::Duration;

use forge::prelude::*;
use forge_tests::until;
use serde_json::json;

use super::stage::{Ended, Stage};

const MIB: u32 = 1024 * 1024;
/// Rows of a journal at most.
const STEPS_MAX: u32 = 10_000;

/// Executes so many steps, 500 side by side, and then sleeps or executes another one.
#[forge::workflow(name = "bounds.many")]
pub(super) async fn many(ctx: &WorkflowContext, steps: u32, sleeps: bool) -> Result<u32> {
    let mut done = 0;
    while done < steps {
        let part = (steps - done).min(500);
        let counted = (0..part).map(|_| ctx.step("count", || async { Ok(1) }));
        done += ctx.join_all(counted).await?.into_iter().sum::<u32>();
    }
    if sleeps {
        ctx.sleep(days(1)).await;
    } else {
        ctx.step("one more", || async { Ok(1) }).await?;
    }
    Ok(done)
}

/// How a step returns a text.
#[forge::forge_enum]
pub(super) enum Way {
    Closure,
    Transaction,
    Action,
    Mutation,
}

/// A text with so many bytes as JSON.
fn text(bytes: u32) -> String {
    "x".repeat(bytes as usize - 2)
}

#[forge::action(internal, name = "bounds.writeByAction")]
pub(super) async fn write_by_action(_ctx: &ActionContext, bytes: u32) -> Result<String> {
    Ok(text(bytes))
}

#[forge::mutation(internal, name = "bounds.writeByMutation")]
pub(super) async fn write_by_mutation(_ctx: &MutationContext, bytes: u32) -> Result<String> {
    Ok(text(bytes))
}

/// Has a step return so many bytes.
#[forge::workflow(name = "bounds.large")]
pub(super) async fn large(ctx: &WorkflowContext, way: Way, bytes: u32) -> Result<u32> {
    let written = match way {
        Way::Closure => ctx.step("write", move || async move { Ok(text(bytes)) }).await?,
        Way::Transaction => ctx.tx_step("write", async |_| Ok(text(bytes))).await?,
        Way::Action => ctx.step("write", WriteByAction { bytes }).await?,
        Way::Mutation => ctx.step("write", WriteByMutation { bytes }).await?,
    };
    Ok(written.len() as u32)
}

/// Has steps return a MiB each: one after the other, until one fails, or all side by side.
#[forge::workflow(name = "bounds.full")]
pub(super) async fn full(ctx: &WorkflowContext, steps: u32, side_by_side: bool) -> Result<u32> {
    if side_by_side {
        let written = (0..steps).map(|_| ctx.step("write", || async { Ok(text(MIB)) }).optional());
        let written = ctx.join_all(written).await?;
        return Ok(written.into_iter().flatten().count() as u32);
    }
    for _ in 0..steps {
        ctx.step("write", || async { Ok(text(MIB)) }).await?;
    }
    Ok(steps)
}

#[forge::action(internal, name = "bounds.beginMany")]
pub(super) async fn begin_many(ctx: &ActionContext, steps: u32, sleeps: bool) -> Result<RunId> {
    ctx.start(Many { steps, sleeps }).await
}

#[forge::action(internal, name = "bounds.beginLarge")]
pub(super) async fn begin_large(ctx: &ActionContext, way: Way, bytes: u32) -> Result<RunId> {
    ctx.start(Large { way, bytes }).await
}

#[forge::action(internal, name = "bounds.beginFull")]
pub(super) async fn begin_full(ctx: &ActionContext, steps: u32, side_by_side: bool) -> Result<RunId> {
    ctx.start(Full { steps, side_by_side }).await
}

/// What a run has failed with.
fn refusal(ended: &Ended) -> (&str, &str) {
    (ended.code(), ended.error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_ten_thousand_steps_goes_on_and_one_more_step_is_refused() {
    let stage = Stage::open().await;
    // The sleep is the last step that fits: the run is activated again with a full journal.
    let fits = stage.started(BeginMany { steps: STEPS_MAX - 1, sleeps: true }).await;
    let sleeps = stage.started(BeginMany { steps: STEPS_MAX, sleeps: true }).await;
    let steps = stage.started(BeginMany { steps: STEPS_MAX, sleeps: false }).await;
    until("the journals are full", Duration::from_secs(120), || async {
        let count = "SELECT count(*) FROM forge_workflow_steps";
        (stage.value::<i64>(count).await == 3 * i64::from(STEPS_MAX)).then_some(())
    })
    .await;
    for refused in [sleeps, steps] {
        let ended = stage.ended(refused).await;
        let (code, message) = refusal(&ended);
        assert_eq!((ended.status.as_str(), code), ("failed", "PAYLOAD_TOO_LARGE"));
        assert_eq!(message, "the journal of this run has reached its limit of 10000 steps");
    }
    stage.has_status(fits, "waiting").await;
    stage.advance("25 hours").await;
    assert_eq!(stage.ended(fits).await.output, Some(json!(STEPS_MAX - 1)));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_a_mebibyte_is_recorded_and_a_larger_one_is_refused() {
    let stage = Stage::open().await;
    for way in [Way::Closure, Way::Transaction, Way::Action, Way::Mutation] {
        let fits = stage.started(BeginLarge { way, bytes: MIB }).await;
        assert_eq!(stage.ended(fits).await.output, Some(json!(MIB - 2)), "{way:?}");
        let refused = stage.started(BeginLarge { way, bytes: MIB + 1 }).await;
        let ended = stage.ended(refused).await;
        let (code, message) = refusal(&ended);
        assert_eq!((ended.status.as_str(), code), ("failed", "PAYLOAD_TOO_LARGE"), "{way:?}: {message}");
        assert!(message.contains("1048576"), "{way:?}: {message}");
    }
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_run_have_64_mebibytes_at_most_side_by_side_too() {
    let stage = Stage::open().await;
    let refused = stage.started(BeginFull { steps: 65, side_by_side: false }).await;
    let ended = stage.ended(refused).await;
    let (code, message) = refusal(&ended);
    assert_eq!((ended.status.as_str(), code), ("failed", "PAYLOAD_TOO_LARGE"));
    assert_eq!(message, "the journal of this run has reached its limit of 64 MiB");

    let before = peak_bytes();
    let run = stage.started(BeginFull { steps: 1_000, side_by_side: true }).await;
    assert_eq!(stage.ended(run).await.output, Some(json!(64)), "the others are refused");
    let grown = peak_bytes().saturating_sub(before);
    println!("memory grew by {} MiB at most", grown / u64::from(MIB));
    // The results alone would be 1,000.
    assert!(grown < 500 * u64::from(MIB), "{grown} bytes");
    let recorded = "SELECT max(bytes) FROM (SELECT sum(octet_length(output::text)) AS bytes \
                    FROM forge_workflow_steps GROUP BY run_id) AS run";
    assert_eq!(stage.value::<i64>(recorded).await, 64 * i64::from(MIB));
    stage.close().await;
}

/// The most memory that this process has had.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
