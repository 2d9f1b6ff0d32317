//! Jobs that fail, panic, block or snooze on demand.

use std::time::Duration;

use forge::prelude::*;

/// Dispatches `count` jobs in one transaction.
#[forge::mutation(timeout = "30s")]
pub async fn enqueue(ctx: &MutationContext, prefix: String, count: u32, ms: u32) -> Result<()> {
    for number in 0..count {
        ctx.dispatch(Work { key: format!("{prefix}-{number}"), ms }).await?;
    }
    Ok(())
}

/// Dispatches a job that does nothing.
#[forge::mutation]
pub async fn enqueue_quick(ctx: &MutationContext, n: i64) -> Result<()> {
    ctx.dispatch(Quick { n }).await?;
    Ok(())
}

/// Dispatches a job that writes down how long after that it started; in another queue than its own if one is
/// named.
#[forge::mutation]
pub async fn enqueue_timed(ctx: &MutationContext, key: String, queue: Option<String>) -> Result<()> {
    let queue = queue.as_deref().unwrap_or("work");
    ctx.dispatch(Timed { key, dispatched: micros() }).queue(queue).await?;
    Ok(())
}

/// Dispatches a job and fails.
#[forge::mutation]
pub async fn enqueue_and_fail(ctx: &MutationContext, key: String) -> Result<()> {
    ctx.dispatch(Work { key, ms: 0 }).await?;
    Err(Fault::new(Code::Conflict, "the probe fails after its dispatch, as asked"))
}

/// Dispatches one job of a kind by its name.
#[forge::action]
pub async fn enqueue_one(ctx: &ActionContext, kind: String, key: String) -> Result<JobId> {
    match kind.as_str() {
        "explode" => ctx.dispatch(Explode { key }).await,
        "stall" => ctx.dispatch(Stall { key }).await,
        "abort" => ctx.dispatch(Abort { key }).await,
        "snooze" => ctx.dispatch(Snooze { key }).await,
        "linger" => ctx.dispatch(Linger { key }).await,
        "direct" => ctx.dispatch(Direct { key }).await,
        "divulge" => ctx.dispatch(Divulge { key, code: Secret::new(CODE.to_owned()) }).await,
        "later" => ctx.dispatch(Work { key, ms: 0 }).after(Duration::from_millis(300)).await,
        _ => Err(Fault::new(Code::NotFound, "the probe has no such job")),
    }
}

/// Writes down that an attempt has begun, for a while does nothing, and writes down its effect together with
/// its end.
#[forge::job(queue = "work", attempts = 20, timeout = "2m")]
pub async fn work(ctx: &JobContext, key: String, ms: u32) -> Result<()> {
    ctx.call(Note { key: key.clone(), what: "begun".into() }).await?;
    tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    ctx.commit(async |tx| {
        tx.call(Note { key, what: "done".into() }).await?;
        Ok(())
    })
    .await
}

/// Dispatches a job, by way of the node's disk while the database is away.
#[forge::action]
pub async fn enqueue_buffered(ctx: &ActionContext, key: String) -> Result<DispatchOutcome> {
    ctx.dispatch_buffered(Work { key, ms: 0 }).outcome().await
}

/// As [`enqueue_buffered`], with a job of which there is one within an hour.
#[forge::action]
pub async fn enqueue_buffered_unique(ctx: &ActionContext, key: String) -> Result<DispatchOutcome> {
    ctx.dispatch_buffered(Rare { key }).outcome().await
}

/// Writes down its effect, at most once an hour.
#[forge::job(queue = "work", unique(by = key, within = "1h"))]
pub async fn rare(ctx: &JobContext, key: String) -> Result<()> {
    ctx.call(Note { key, what: "done".into() }).await?;
    Ok(())
}

/// Does nothing.
#[forge::job(queue = "quick")]
pub async fn quick(_ctx: &JobContext, n: i64) -> Result<()> {
    std::hint::black_box(n);
    Ok(())
}

/// Fails in each attempt.
#[forge::job(queue = "quick", attempts = 10, backoff = exponential("1m", max = "10m"))]
pub async fn refuse(_ctx: &JobContext, n: i64) -> Result<()> {
    Err(Fault::new(Code::Conflict, format!("job {n} fails, as asked")))
}

/// Writes down how many microseconds after its dispatch it started.
#[forge::job(queue = "work")]
pub async fn timed(ctx: &JobContext, key: String, dispatched: i64) -> Result<()> {
    let took = micros() - dispatched;
    ctx.call(Note { key, what: took.to_string() }).await?;
    Ok(())
}

/// Microseconds since 1970 by the machine's clock, which dispatcher and job share.
fn micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// Panics in each attempt.
#[forge::job(queue = "work", attempts = 2, backoff = fixed("50ms"))]
pub async fn explode(ctx: &JobContext, key: String) -> Result<()> {
    ctx.call(Note { key, what: "begun".into() }).await?;
    panic!("the probe panics in a job, as asked");
}

/// The secret argument of [`divulge`].
pub const CODE: &str = "the code that nobody may see";

/// Panics with its arguments.
#[forge::job(queue = "work", attempts = 1)]
pub async fn divulge(_ctx: &JobContext, key: String, code: Secret<String>) -> Result<()> {
    panic!("{key} {code:?}");
}

/// Runs into its time limit.
#[forge::job(queue = "work", attempts = 1, timeout = "500ms")]
pub async fn stall(ctx: &JobContext, key: String) -> Result<()> {
    ctx.call(Note { key, what: "begun".into() }).await?;
    tokio::time::sleep(Duration::from_secs(600)).await;
    Ok(())
}

/// Aborts its process.
#[forge::job(queue = "work", attempts = 2)]
pub async fn abort(ctx: &JobContext, key: String) -> Result<()> {
    ctx.call(Note { key, what: "begun".into() }).await?;
    std::process::abort();
}

/// Writes down that it has begun, and has only one attempt to finish.
#[forge::job(queue = "work", attempts = 1)]
pub async fn once(ctx: &JobContext, n: i64) -> Result<()> {
    let key = format!("once-{n}");
    ctx.call(Note { key: key.clone(), what: "begun".into() }).await?;
    ctx.commit(async |tx| {
        tx.call(Note { key, what: "done".into() }).await?;
        Ok(())
    })
    .await
}

/// Finishes, and goes on for longer than a lease lasts.
#[forge::job(queue = "work", attempts = 1)]
pub async fn linger(ctx: &JobContext, key: String) -> Result<()> {
    ctx.commit(async |tx| {
        tx.call(Note { key: key.clone(), what: "done".into() }).await?;
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    ctx.call(Note { key, what: "lingered".into() }).await?;
    Ok(())
}

/// Asks for another time until its fourth run, and has only one attempt.
#[forge::job(queue = "work", attempts = 1)]
pub async fn snooze(ctx: &JobContext, key: String) -> Result<()> {
    let runs = ctx.call(Note { key: key.clone(), what: "begun".into() }).await?;
    if runs < 4 {
        return ctx.snooze(Duration::from_millis(50));
    }
    ctx.call(Note { key, what: "done".into() }).await?;
    Ok(())
}

/// Asks for another time that never comes.
#[forge::job(queue = "work", attempts = 1)]
pub async fn snooze_for_ever(ctx: &JobContext, n: i64) -> Result<()> {
    std::hint::black_box(n);
    ctx.snooze(Duration::MAX)
}

/// Panics in each attempt, with a text that not every encoding has.
#[forge::job(queue = "work", attempts = 2, backoff = fixed("50ms"))]
pub async fn exclaim(_ctx: &JobContext, n: i64) -> Result<()> {
    panic!("the probe panics \u{2713} in job {n}, as asked");
}

/// Reads and writes by statements that are a transaction each.
#[forge::job(queue = "work", attempts = 1)]
pub async fn direct(ctx: &JobContext, key: String) -> Result<()> {
    let count = sqlx::query_scalar("select count(*) from probe_effects where key = $1");
    let earlier: i64 = count.bind(&key).fetch_one(ctx.db()).await?;
    sqlx::query("insert into probe_effects (key, what, pid) values ($1, $2, $3)")
        .bind(&key)
        .bind(format!("direct after {earlier}"))
        .bind(i64::from(std::process::id()))
        .execute(ctx.db())
        .await?;
    Ok(())
}

/// Writes an effect down; answers how often it was written for this key.
#[forge::mutation(internal)]
pub async fn note(ctx: &MutationContext, key: String, what: String) -> Result<i64> {
    sqlx::query("insert into probe_effects (key, what, pid) values ($1, $2, $3)")
        .bind(&key)
        .bind(&what)
        .bind(i64::from(std::process::id()))
        .execute(ctx.db())
        .await?;
    let count = sqlx::query_scalar("select count(*) from probe_effects where key = $1 and what = $2");
    Ok(count.bind(key).bind(what).fetch_one(ctx.db()).await?)
}
