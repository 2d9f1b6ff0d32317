//! `#[forge::test]`: what a test of an application can do. Each of these is such a test. Those of a whole new
//! application, with runs that are killed, are in `node::scaffold`.

use forge::prelude::*;
use forge::testing::{HttpReply, JobStatus, JobsFailed, TestContext, TestResult};

mod crons;
mod histories;
mod workflows;

const MAIL: &str = "https://mail.example/send";

forge::id!(pub ThingId);

#[forge::model(table = "things")]
pub(crate) struct Thing {
    #[id]
    pub id: ThingId,
}

#[forge::error]
pub(crate) enum MailError {
    /// The mail service answered with another status.
    #[code("MAIL_REFUSED", status = 502)]
    Refused { status: u16 },
}

/// The subject and the tenant of the caller.
#[forge::query(role = "editor")]
pub(crate) async fn caller(ctx: &QueryContext) -> Result<Vec<String>> {
    let subject: String = ctx.auth().user()?;
    Ok(vec![subject, ctx.auth().tenant()?.to_owned()])
}

#[forge::query(public)]
pub(crate) async fn count_things(ctx: &QueryContext) -> Result<u32> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM things").fetch_one(ctx.db()).await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Makes a thing, and has its making announced.
#[forge::mutation(internal)]
pub(crate) async fn make(ctx: &MutationContext, fails: bool) -> Result<ThingId> {
    let id = ThingId::new();
    sqlx::query("INSERT INTO things VALUES ($1)").bind(id).execute(ctx.db()).await?;
    ctx.dispatch(Announce { thing: id }).await?;
    ctx.dispatch(Remind { thing: id }).after(hours(1)).await?;
    if fails { Err(Fault::new(Code::Conflict, "it was to fail")) } else { Ok(id) }
}

#[forge::job(queue = "testing", attempts = 3, backoff = fixed("1h"))]
pub(crate) async fn announce(ctx: &JobContext, thing: ThingId) -> Result<()> {
    ctx.call(Mail { text: thing.to_string() }).await?;
    Ok(())
}

#[forge::job(queue = "testing")]
pub(crate) async fn remind(ctx: &JobContext, thing: ThingId) -> Result<()> {
    ctx.dispatch(Announce { thing }).await?;
    Ok(())
}

/// Dispatches itself.
#[forge::job(queue = "testing")]
pub(crate) async fn circle(ctx: &JobContext) -> Result<()> {
    ctx.dispatch(Circle {}).await?;
    Ok(())
}

/// Counts the letters of a text.
#[forge::job(queue = "testing")]
pub(crate) async fn count_letters(ctx: &JobContext, text: String) -> Result<u32> {
    ctx.progress(0.5, "counting").await?;
    Ok(u32::try_from(text.len()).unwrap_or(u32::MAX))
}

/// Has a job count.
#[forge::action(public)]
pub(crate) async fn letters(ctx: &ActionContext, text: String) -> Result<u32> {
    Ok(ctx.run_job(CountLetters { text }).await?)
}

#[forge::action(public)]
pub(crate) async fn mail(ctx: &ActionContext, text: String) -> Result<String, MailError> {
    let sent = ctx.http().post(MAIL).json(&json!({ "text": text })).send().await.map_err(Fault::internal)?;
    if !sent.status().is_success() {
        return Err(MailError::Refused { status: sent.status().as_u16() });
    }
    Ok(sent.text().await.map_err(Fault::internal)?)
}

#[forge::test]
async fn access_is_checked_as_from_outside(cx: TestContext) -> TestResult {
    let code = |refused: Result<Vec<String>, CallError<Fault>>| match refused {
        Err(CallError::Fault(fault)) => Some(fault.code()),
        Ok(_) | Err(CallError::App(_)) => None,
    };
    let ana = cx.as_user("ana").tenant("acme");
    assert_eq!(code(cx.call(Caller {}).await), Some(Code::Unauthenticated));
    assert_eq!(code(ana.call(Caller {}).await), Some(Code::PermissionDenied));
    assert_eq!(ana.roles(["editor"]).call(Caller {}).await?, ["ana", "acme"]);
    let hidden = cx.as_user("ana").call(Make { fails: false }).await;
    assert!(matches!(hidden, Err(CallError::Fault(fault)) if fault.code() == Code::NotFound));
    cx.call_internal(Make { fails: false }).await?;
    Ok(())
}

#[forge::test]
async fn a_dispatch_counts_when_its_mutation_committed(cx: TestContext) -> TestResult {
    assert!(cx.call_internal(Make { fails: true }).await.is_err());
    assert!(cx.dispatched::<Announce>().await?.is_empty());
    let thing = cx.call_internal(Make { fails: false }).await?;
    let job = cx.assert_dispatched::<Announce>(|job| job.thing == thing).await;
    assert_eq!((job.status, job.attempts), (JobStatus::Pending, 0));
    Ok(())
}

#[forge::test]
async fn a_job_is_repeated_at_once_until_it_succeeds(cx: TestContext) -> TestResult {
    cx.http().answer("POST", MAIL, HttpReply::status(503));
    cx.http().answer("POST", MAIL, HttpReply::text("sent"));
    let thing = ThingId::new();
    cx.dispatch(Announce { thing }).await?;
    let ran = cx.run_jobs().await?;
    let statuses: Vec<_> = ran.iter().map(|ran| (ran.attempt, ran.status)).collect();
    assert_eq!(statuses, [(1, JobStatus::Retry), (2, JobStatus::Completed)]);
    let sent = cx.http().requests();
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[0].url.as_str(), &sent[0].json()["text"]), (MAIL, &json!(thing)));
    assert_eq!(sent[0].header("Content-Type"), Some("application/json"));
    Ok(())
}

#[forge::test]
async fn a_job_that_an_action_waits_for_runs_there(cx: TestContext) -> TestResult {
    cx.dispatch(CountLetters { text: "other".into() }).await?;
    assert_eq!(cx.call(Letters { text: "seven".into() }).await?, 5);
    assert!(cx.run_jobs().await?.is_empty(), "both have run");
    Ok(())
}

#[forge::test]
async fn a_job_that_never_succeeds_fails_the_test(cx: TestContext) -> TestResult {
    cx.http().answer("POST", MAIL, HttpReply::status(503));
    cx.dispatch(Announce { thing: ThingId::new() }).await?;
    let failed = cx.run_jobs().await;
    let Err(JobsFailed::Lost(text)) = failed else { return Err("the job was lost".into()) };
    assert!(text.contains("`testing.announce` ended as dead_letter after attempt 3: MAIL_REFUSED"), "{text}");
    cx.dispatch(Announce { thing: ThingId::new() }).await?;
    assert_eq!(cx.run_jobs().allow_failures().await?.len(), 3);
    Ok(())
}

#[forge::test]
async fn a_job_waits_for_its_time_unless_the_test_does_not(cx: TestContext) -> TestResult {
    cx.http().answer("POST", MAIL, HttpReply::text("sent"));
    let thing = cx.call_internal(Make { fails: false }).await?;
    assert_eq!(cx.run_jobs().await?.len(), 1);
    assert_eq!(cx.assert_dispatched::<Remind>(|job| job.thing == thing).await.status, JobStatus::Pending);
    // The reminder, and the announcement that it dispatches.
    let ran = cx.run_jobs().scheduled().await?;
    assert_eq!(
        ran.iter().map(|ran| &*ran.handler).collect::<Vec<_>>(),
        ["testing.remind", "testing.announce"]
    );
    Ok(())
}

#[forge::test]
async fn jobs_that_go_in_circles_are_ended(cx: TestContext) -> TestResult {
    cx.dispatch(Circle {}).await?;
    let Err(JobsFailed::NotRun(fault)) = cx.run_jobs().await else { return Err("they ended".into()) };
    assert!(format!("{fault:?}").contains("does a job dispatch itself?"), "{fault:?}");
    Ok(())
}

#[forge::test]
async fn a_request_without_an_answer_reaches_nobody(cx: TestContext) -> TestResult {
    let refused = cx.call(Mail { text: "hello".to_owned() }).await;
    assert!(matches!(refused, Err(CallError::App(MailError::Refused { status: 501 }))));
    assert_eq!(cx.http().requests()[0].url, MAIL);
    Ok(())
}

#[forge::test]
async fn a_live_query_follows_writes_of_handlers_and_others(cx: TestContext) -> TestResult {
    let mut things = cx.watch(CountThings {})?;
    assert_eq!(things.next().await?, 0);
    cx.call_internal(Make { fails: false }).await?;
    assert_eq!(things.next().await?, 1);
    sqlx::query("INSERT INTO things VALUES ($1)").bind(ThingId::new()).execute(&cx.db()).await?;
    assert_eq!(things.next().await?, 2);
    Ok(())
}

/// Forge's own result is one as well.
#[forge::test]
async fn a_test_sees_no_other_test(cx: TestContext) -> Result<()> {
    assert_eq!(cx.call(CountThings {}).await?, 0);
    cx.call_internal(Make { fails: false }).await?;
    Ok(())
}
