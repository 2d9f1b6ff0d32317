//! Workflows in tests of applications: days pass in no time.

use forge::prelude::*;
use forge::testing::{TestContext, TestError, TestResult};

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

/// What the clock of a run said at each place, and what a step was given of it when it was executed.
#[forge::workflow]
pub(crate) async fn clocked(ctx: &WorkflowContext) -> Result<Vec<Timestamp>> {
    let began = ctx.now();
    let given = ctx.step("given", move || async move { Ok(began) }).await?;
    ctx.sleep(days(30)).await;
    let slept = ctx.now();
    let given_later = ctx.step("given later", move || async move { Ok(slept) }).await?;
    ctx.sleep_until(began + days(40)).await;
    Ok(vec![began, given, slept, given_later, ctx.now()])
}

/// A job that dispatches itself.
#[forge::job]
pub(crate) async fn again(ctx: &JobContext, n: u32) -> Result<()> {
    ctx.dispatch(Again { n: n + 1 }).await?;
    Ok(())
}

/// Goes on for ever.
#[forge::workflow]
pub(crate) async fn endless(ctx: &WorkflowContext, n: u32) -> Result<u32> {
    let next = ctx.step("count", move || async move { Ok(n + 1) }).await?;
    ctx.continue_as_new(Endless { n: next })
}

#[forge::test]
async fn the_clock_of_a_run_moves_with_the_time_that_a_test_lets_pass(cx: TestContext) -> TestResult {
    let started = Timestamp::from(std::time::SystemTime::now());
    let run = cx.start(Clocked {}).await?;
    for time in [days(30), days(9), days(1)] {
        cx.settle().await?;
        assert!(cx.outcome::<Clocked>(run).await.is_err(), "it has not ended");
        cx.advance(time).await?;
    }
    cx.settle().await?;
    let times = cx.outcome::<Clocked>(run).await?;
    let [began, given, slept, given_later, ended] = times[..] else { panic!("five times: {times:?}") };
    assert_eq!((given, given_later), (began, slept), "a replay sees the times of the first execution");
    let about = |moment: Timestamp, expected: Timestamp| {
        assert!(moment > expected - minutes(1) && moment < expected + minutes(5), "{moment} {expected}");
    };
    about(began, started);
    about(slept, began + days(30));
    about(ended, began + days(40));
    Ok(())
}

#[forge::test]
async fn jobs_and_workflows_run_in_turn_until_nothing_is_due(cx: TestContext) -> TestResult {
    let run = cx.start(Trial { user: 1 }).await?;
    cx.settle().await?;
    cx.advance(days(30)).await?;
    cx.settle().await?;
    let reminded = cx.assert_dispatched(|job: &Remind| job.user == 1).await;
    assert_eq!(reminded.attempts, 1, "the run has dispatched the job, which has run, and the run goes on");
    cx.advance(days(15)).await?;
    cx.settle().await?;
    assert_eq!(cx.outcome::<Trial>(run).await?, "expired 2");
    Ok(())
}

#[forge::test]
async fn what_does_not_come_to_rest_is_named(cx: TestContext) -> TestResult {
    cx.dispatch(Again { n: 0 }).await?;
    let error = cx.settle().within(secs(2)).await.expect_err("the job dispatches itself");
    let error = TestError::from(error).to_string();
    assert!(error.contains("workflows.again"), "{error}");
    Ok(())
}

#[forge::test]
async fn a_run_that_does_not_come_to_rest_is_named(cx: TestContext) -> TestResult {
    cx.start(Endless { n: 0 }).await?;
    let error = cx.settle().within(secs(2)).await.expect_err("the run goes on for ever").to_string();
    assert!(error.contains("workflows.endless"), "{error}");
    Ok(())
}
