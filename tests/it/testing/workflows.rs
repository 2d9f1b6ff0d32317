//! Workflows in tests of applications: days pass in no time.

use forge::prelude::*;
use forge::testing::{TestContext, TestResult};

#[forge::event(key = user)]
pub(crate) struct Subscribed {
    pub user: u32,
}

#[forge::job]
pub(crate) async fn remind(_ctx: &JobContext, user: u32) -> Result<u32> {
    Ok(user + 1)
}

/// A trial of 45 days, with a reminder after 30.
#[forge::workflow]
pub(crate) async fn trial(ctx: &WorkflowContext, user: u32) -> Result<String> {
    ctx.sleep(days(30)).await;
    let reminded = ctx.run_job(Remind { user }).await?;
    match ctx.wait_for::<Subscribed>(user).timeout(days(15)).await? {
        Some(_) => Ok(format!("subscribed {reminded}")),
        None => Ok(format!("expired {reminded}")),
    }
}

#[forge::mutation(internal)]
pub(crate) async fn subscribe(ctx: &MutationContext, user: u32) -> Result<bool> {
    ctx.emit(Subscribed { user }).await
}

#[forge::test]
async fn forty_five_days_pass_in_a_moment(cx: TestContext) -> TestResult {
    let began = std::time::Instant::now();
    let expires = cx.start(Trial { user: 1 }).await?;
    let subscribes = cx.start(Trial { user: 2 }).await?;
    cx.run_workflows().await?;
    assert!(cx.outcome::<Trial>(expires).await.is_err(), "it has not ended");
    cx.advance(days(30)).await?;
    cx.run_workflows().await?;
    cx.assert_dispatched(|job: &Remind| job.user == 1).await;
    cx.run_jobs().await?;
    cx.run_workflows().await?;
    cx.call_internal(Subscribe { user: 2 }).await?;
    cx.run_workflows().await?;
    assert_eq!(cx.outcome::<Trial>(subscribes).await?, "subscribed 3");
    cx.advance(days(15)).await?;
    cx.run_workflows().await?;
    assert_eq!(cx.outcome::<Trial>(expires).await?, "expired 2");
    println!("45 days of two trials took {:?}", began.elapsed());
    Ok(())
}
