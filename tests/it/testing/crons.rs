//! Crons in the tests of an application: runs of a handler, and the schedules that mutations create.

use forge::prelude::*;
use forge::testing::{TestContext, TestResult};

/// The day that it ran for.
#[forge::cron("30 2 * * *", timezone = "Europe/Berlin", queue = "testing")]
pub(crate) async fn nightly(ctx: &CronContext) -> Result<()> {
    let day = ctx.local_time().date().to_string();
    ctx.call(Remember { text: format!("{day} {} {}", ctx.cron_name(), ctx.is_late()) }).await?;
    Ok(())
}

/// For the schedules of tenants.
#[forge::cron(queue = "testing", overlap = queue, input_max = "64B")]
pub(crate) async fn report(ctx: &CronContext, text: String) -> Result<()> {
    let tenant = ctx.auth().tenant()?.to_owned();
    ctx.call(Remember { text: format!("{tenant} {text}") }).await?;
    Ok(())
}

#[forge::mutation(internal)]
pub(crate) async fn remember(ctx: &MutationContext, text: String) -> Result<()> {
    let insert = "INSERT INTO things VALUES (md5($1)::uuid)";
    sqlx::query(insert).bind(text).execute(ctx.db()).await?;
    Ok(())
}

/// What a caller does with schedules.
#[forge::forge_enum]
pub(crate) enum Step {
    Create,
    Replace,
    Pause,
    Resume,
    Delete,
}

/// Changes a schedule, and fails after it when asked to.
#[forge::mutation]
pub(crate) async fn change(
    ctx: &MutationContext,
    step: Step,
    name: String,
    expression: String,
    fails: bool,
) -> Result<Vec<String>> {
    let crons = ctx.crons();
    let message = Report { text: name.to_owned() };
    match step {
        Step::Create => drop(crons.create(&name, message, expression).timezone("Asia/Tokyo").await?),
        Step::Replace => drop(crons.create(&name, message, expression).or_replace().await?),
        Step::Pause => crons.pause(&name).await?,
        Step::Resume => crons.resume(&name).await?,
        Step::Delete => crons.delete(&name).await?,
    }
    let all = crons.list().await?;
    let shown = all.into_iter().map(|cron| {
        let paused = cron.paused_by.map(|who| format!(" paused by {who}")).unwrap_or_default();
        format!("{} {} {}{paused}", cron.name, cron.expression, cron.timezone)
    });
    let shown = shown.collect();
    if fails { Err(Fault::new(Code::Conflict, "it was to fail")) } else { Ok(shown) }
}

async fn remembered(cx: &TestContext, text: &str) -> TestResult<bool> {
    let select = "SELECT count(*) FROM things WHERE id = md5($1)::uuid";
    let count: i64 = sqlx::query_scalar(select).bind(text).fetch_one(&cx.db()).await?;
    Ok(count == 1)
}

#[forge::test]
async fn a_run_knows_the_day_that_it_is_for(cx: TestContext) -> TestResult {
    // Half past two does not exist on this day: the run is for three o'clock, of the same day.
    cx.dispatch_cron(Nightly {}, "2026-03-29T01:00:00Z".parse()?).await?;
    let ran = cx.run_jobs().await?;
    assert_eq!(ran.len(), 1);
    assert!(remembered(&cx, "2026-03-29 crons.nightly true").await?, "long ago, so it is late");
    Ok(())
}

#[forge::test]
async fn a_schedule_is_created_with_its_mutation_and_for_its_tenant(cx: TestContext) -> TestResult {
    let (ana, bob) = (cx.as_user("ana").tenant("acme"), cx.as_user("bob").tenant("umbrella"));
    let call = |step, name: &str, expression: &str, fails| Change {
        step,
        name: name.to_owned(),
        expression: expression.to_owned(),
        fails,
    };
    assert!(ana.call(call(Step::Create, "daily", "0 9 * * *", true)).await.is_err());
    let mine = ana.call(call(Step::Create, "daily", "0 9 * * *", false)).await?;
    assert_eq!(mine, ["daily 0 9 * * * Asia/Tokyo"], "what failed has left nothing");
    let code = |refused: Result<Vec<String>, CallError<Fault>>| match refused {
        Err(CallError::Fault(fault)) => (fault.code(), fault.message().to_owned()),
        Ok(_) | Err(CallError::App(_)) => panic!("it was to be refused"),
    };
    let (refused, _) = code(ana.call(call(Step::Create, "daily", "@hourly", false)).await);
    assert_eq!(refused, Code::Conflict);
    let (refused, said) = code(ana.call(call(Step::Create, "never", "0 0 31 2 *", false)).await);
    assert_eq!(refused, Code::Validation);
    assert!(said.contains("this never comes"), "{said}");
    let (refused, _) = code(ana.call(call(Step::Create, &"long".repeat(20), "@daily", false)).await);
    assert_eq!(refused, Code::PayloadTooLarge);
    // Another tenant has names of its own, and does not see these.
    assert_eq!(bob.call(call(Step::Create, "daily", "@daily", false)).await?, ["daily @daily Asia/Tokyo"]);
    let (refused, _) = code(bob.call(call(Step::Pause, "weekly", "", false)).await);
    assert_eq!(refused, Code::NotFound);
    assert_eq!(ana.call(call(Step::Replace, "daily", "@weekly", false)).await?, ["daily @weekly UTC"]);
    let paused = ana.call(call(Step::Pause, "daily", "", false)).await?;
    assert_eq!(paused, ["daily @weekly UTC paused by ana"]);
    assert_eq!(ana.call(call(Step::Resume, "daily", "", false)).await?, ["daily @weekly UTC"]);
    assert!(ana.call(call(Step::Delete, "daily", "", false)).await?.is_empty());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM forge_crons").fetch_one(&cx.db()).await?;
    assert_eq!(left, 1, "the other tenant's");
    Ok(())
}
