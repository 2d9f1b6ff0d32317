//! Jobs with limits, and dispatches that find each other.

use std::time::Duration;

use forge::prelude::*;

use super::jobs::Note;

/// Dispatches `count` jobs of the key.
#[forge::mutation(timeout = "30s")]
pub async fn enqueue_pairs(ctx: &MutationContext, key: String, count: u32, ms: u32) -> Result<()> {
    let jobs = (0..count).map(|number| Pair { key: key.clone(), number, ms });
    ctx.dispatch_all(jobs).await?;
    Ok(())
}

/// Dispatches `count` jobs of the key that are paced.
#[forge::mutation]
pub async fn enqueue_paced(ctx: &MutationContext, key: String, count: u32) -> Result<()> {
    ctx.dispatch_all((0..count).map(|number| Paced { key: key.clone(), number })).await?;
    Ok(())
}

/// Dispatches a job into a queue that no handler names.
#[forge::mutation]
pub async fn enqueue_elsewhere(ctx: &MutationContext, key: String, queue: String) -> Result<JobId> {
    ctx.dispatch(Pair { key, number: 0, ms: 0 }).queue(&queue).await
}

/// Dispatches a job that only some nodes can run.
#[forge::mutation]
pub async fn enqueue_rendering(ctx: &MutationContext, key: String) -> Result<JobId> {
    ctx.dispatch(Render { key }).await
}

/// Writes down which process has run it.
#[forge::job(queue = "limits", capability = "gpu")]
pub async fn render(ctx: &JobContext, key: String) -> Result<()> {
    ctx.call(Note { key, what: "done".into() }).await?;
    Ok(())
}

/// Writes down its begin and its end; two of a key run at a time.
#[forge::job(queue = "limits", attempts = 20, concurrency(limit = 2, key = key))]
pub async fn pair(ctx: &JobContext, key: String, number: u32, ms: u32) -> Result<()> {
    let key = format!("{key}/{number}");
    ctx.call(Note { key: key.clone(), what: "begun".into() }).await?;
    tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    ctx.call(Note { key, what: "done".into() }).await?;
    Ok(())
}

/// Writes down its begin; five of a key start within two seconds.
#[forge::job(queue = "limits", rate_limit(requests = 5, per = "2s", key = key))]
pub async fn paced(ctx: &JobContext, key: String, number: u32) -> Result<()> {
    ctx.call(Note { key: format!("{key}/{number}"), what: "begun".into() }).await?;
    Ok(())
}

/// Dispatches jobs that need memory.
#[forge::mutation]
pub async fn enqueue_heavy(ctx: &MutationContext, count: u32, ms: u32) -> Result<()> {
    ctx.dispatch_all((0..count).map(|number| Heavy { number, ms })).await?;
    Ok(())
}

/// Writes down its begin and its end, and needs memory meanwhile.
#[forge::job(queue = "limits", resources(memory = "1GiB"))]
pub async fn heavy(ctx: &JobContext, number: u32, ms: u32) -> Result<()> {
    let key = format!("heavy/{number}");
    ctx.call(Note { key: key.clone(), what: "begun".into() }).await?;
    tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    ctx.call(Note { key, what: "done".into() }).await?;
    Ok(())
}

/// Does nothing; a thousand of a key are held at a time.
#[forge::job(queue = "quick", concurrency(limit = 1_000, key = n))]
pub async fn quick_pair(_ctx: &JobContext, n: i64) -> Result<()> {
    std::hint::black_box(n);
    Ok(())
}

/// Dispatches jobs that never run, each with a commit of its own: `each` after the other, from `writers`
/// tasks. Answers how many microseconds that took.
#[forge::action(timeout = "2m")]
pub async fn enqueue_singly(ctx: &ActionContext, writers: u32, each: u32) -> Result<i64> {
    let began = std::time::Instant::now();
    let writer = || async {
        for number in 0..each {
            ctx.dispatch(Never { number }).after(days(1)).await?;
        }
        Ok::<(), Fault>(())
    };
    futures::future::try_join_all((0..writers).map(|_| writer())).await?;
    Ok(began.elapsed().as_micros() as i64)
}

/// Dispatches jobs that never run, a thousand with each statement. Answers how many microseconds that took.
#[forge::action(timeout = "2m")]
pub async fn enqueue_bulk(ctx: &ActionContext, thousands: u32) -> Result<i64> {
    let began = std::time::Instant::now();
    for _ in 0..thousands {
        ctx.dispatch_all((0..1_000).map(|number| Never { number })).after(days(1)).await?;
    }
    Ok(began.elapsed().as_micros() as i64)
}

/// Is dispatched, and never due.
#[forge::job(queue = "never")]
pub async fn never(_ctx: &JobContext, number: u32) -> Result<()> {
    std::hint::black_box(number);
    Ok(())
}
