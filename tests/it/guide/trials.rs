//! A test in which days pass.

use forge::prelude::*;
use forge::testing::{TestContext, TestResult};

#[forge::workflow]
pub async fn trial(ctx: &WorkflowContext) -> Result<u32> {
    ctx.sleep(days(45)).await;
    Ok(1)
}

#[forge::test]
async fn a_trial_ends_after_45_days(cx: TestContext) -> TestResult {
    let run = cx.start(Trial {}).await?;
    cx.settle().await?; // until all runs wait or have ended, and no job is due
    cx.advance(days(45)).await?; // days pass, for `ctx.now()` too
    cx.settle().await?;
    assert_eq!(cx.outcome::<Trial>(run).await?, 1);
    Ok(())
}
