//! Jobs that have a result.

use forge::prelude::*;

use super::jobs::Note;

/// The result of these jobs.
#[forge::data]
#[derive(Debug)]
pub struct Report {
    /// The key that the job was given.
    pub key: String,
    /// A number.
    pub pages: u32,
}

/// Says how far it is without a pause, and logs as much.
#[forge::job(queue = "work", attempts = 2, backoff = fixed("50ms"))]
pub async fn chatter(ctx: &JobContext, key: String, steps: u32) -> Result<u32> {
    for step in 1..=steps {
        ctx.progress(f64::from(step) / f64::from(steps), format!("step {step}")).await?;
        ctx.log.with("step", step).info("a step is done");
    }
    ctx.log.debug("for nobody");
    if ctx.attempt().number == 1 {
        ctx.log.warn("the first attempt fails");
        return Err(Fault::new(Code::Conflict, "the probe fails once, as asked"));
    }
    ctx.call(Note { key, what: "chattered".into() }).await?;
    Ok(steps)
}

/// Says how far it is, and waits for a row.
#[forge::job(queue = "work")]
pub async fn dawdle(ctx: &JobContext, key: String, progress: f64) -> Result<()> {
    ctx.progress(progress, format!("waiting for {key}")).await?;
    let ended = "select count(*) > 0 from probe_effects where key = $1 and what = 'go'";
    while !sqlx::query_scalar::<_, bool>(ended).bind(&key).fetch_one(ctx.db()).await? {
        sleep(millis(20)).await;
    }
    ctx.progress(0.9, "going").await?;
    Ok(())
}

/// Dispatches one of these jobs by its name.
#[forge::mutation]
pub async fn report(ctx: &MutationContext, kind: String, key: String) -> Result<JobId> {
    match kind.as_str() {
        "measure" => ctx.dispatch(Measure { key, pages: 7 }).await,
        "measure_once" => ctx.dispatch(MeasureOnce { key }).await,
        "measure_and_commit" => ctx.dispatch(MeasureAndCommit { key }).await,
        "measure_amiss" => ctx.dispatch(MeasureAmiss { key }).await,
        "measure_nothing" => ctx.dispatch(MeasureNothing { key }).await,
        "chatter" => ctx.dispatch(Chatter { key, steps: 500 }).await,
        "dawdle" => ctx.dispatch(Dawdle { key, progress: 0.25 }).await,
        "measure_too_much" => ctx.dispatch(MeasureTooMuch { key }).await,
        _ => Err(Fault::new(Code::NotFound, "the probe has no such job")),
    }
}

/// Dispatches a job that the caller follows.
#[forge::mutation]
pub async fn follow(ctx: &MutationContext, key: String) -> Result<JobHandle<Pace>> {
    ctx.dispatch(Pace { key }).handle().await
}

/// The same, for callers without a token.
#[forge::action(public)]
pub async fn follow_publicly(ctx: &ActionContext, key: String) -> Result<JobHandle<Pace>> {
    ctx.dispatch(Pace { key }).handle().await
}

/// Runs a job and answers with its result, or with its own error.
#[forge::action(timeout = "20s")]
pub async fn run(ctx: &ActionContext, key: String, wait_ms: Option<u32>) -> Result<Report, PaceError> {
    let wait = wait_ms.map_or(Duration::MAX, |ms| millis(u64::from(ms)));
    Ok(ctx.run_job(Pace { key }).wait_max(wait).await?)
}

/// A job's own error.
#[forge::error]
pub enum PaceError {
    /// The job fails, as asked.
    #[code("FAILS_AS_ASKED", status = 409)]
    Asked {
        /// By which row.
        by: String,
    },
}

/// Goes on when a row says so: `half`, then `done` or `fail`.
#[forge::job(queue = "work", attempts = 2, backoff = fixed("50ms"), timeout = "2m")]
pub async fn pace(ctx: &JobContext, key: String) -> Result<Report, PaceError> {
    ctx.progress(0.0, "waiting").await?;
    await_effect(ctx, &key, &["half"]).await?;
    ctx.progress(0.5, "half").await?;
    match await_effect(ctx, &key, &["done", "fail"]).await?.as_str() {
        "fail" => Err(PaceError::Asked { by: key }),
        _ => Ok(Report { key, pages: 12 }),
    }
}

/// Waits until one of these was written down for the key.
async fn await_effect(ctx: &JobContext, key: &str, what: &[&str]) -> Result<String> {
    let found = "select what from probe_effects where key = $1 and what = any ($2)";
    loop {
        match sqlx::query_scalar(found).bind(key).bind(what).fetch_optional(ctx.db()).await? {
            Some(found) => return Ok(found),
            None => sleep(millis(20)).await,
        }
    }
}

/// A batch lease holds it.
#[forge::job(queue = "work")]
pub async fn measure(_ctx: &JobContext, key: String, pages: u32) -> Result<Report> {
    Ok(Report { key, pages })
}

/// Its own row holds it.
#[forge::job(queue = "work", attempts = 1)]
pub async fn measure_once(_ctx: &JobContext, key: String) -> Result<Report> {
    Ok(Report { key, pages: 1 })
}

/// Ends together with an effect.
#[forge::job(queue = "work")]
pub async fn measure_and_commit(ctx: &JobContext, key: String) -> Result<Report> {
    ctx.commit(async |tx| {
        tx.call(Note { key: key.clone(), what: "measured".into() }).await?;
        Ok(Report { key, pages: 2 })
    })
    .await
}

/// Would lose its result.
#[forge::job(queue = "work", attempts = 1)]
pub async fn measure_amiss(ctx: &JobContext, key: String) -> Result<Report> {
    ctx.commit(async |tx| {
        tx.call(Note { key: key.clone(), what: "measured".into() }).await?;
        Ok(())
    })
    .await?;
    Ok(Report { key, pages: 3 })
}

/// Has found nothing.
#[forge::job(queue = "work")]
pub async fn measure_nothing(_ctx: &JobContext, key: String) -> Result<Option<Report>> {
    drop(key);
    Ok(None)
}

/// Returns more than is kept.
#[forge::job(queue = "work", attempts = 5)]
pub async fn measure_too_much(ctx: &JobContext, key: String) -> Result<String> {
    ctx.call(Note { key, what: "begun".into() }).await?;
    Ok("x".repeat(300_000))
}
