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
    cx.run_workflows().await?; // until all runs wait or have ended
    cx.advance(days(45)).await?; // days pass
    cx.run_workflows().await?;
    assert_eq!(cx.outcome::<Trial>(run).await?, 1);
    Ok(())
}
