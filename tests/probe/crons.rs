//! Crons on schedules that tests create, and one that comes once a year.

use std::time::Duration;

use forge::prelude::*;

/// Writes down the time that it runs for, together with the end of the run.
#[forge::cron(queue = "ticks", attempts = 20, timeout = "30s", backoff = fixed("100ms"))]
pub async fn tick(ctx: &CronContext, ms: u32) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    ctx.commit(async |tx| {
        sqlx::query(
            "insert into probe_ticks (cron, scheduled_at, catch_up, late, began_at) values ($1, $2, $3, $4, $5)",
        )
        .bind(ctx.cron_name())
        .bind(ctx.scheduled_time())
        .bind(ctx.is_catch_up())
        .bind(ctx.is_late())
        .bind(ctx.execution_time())
        .execute(tx.db())
        .await?;
        Ok(())
    })
    .await
}

/// Comes so rarely that tests decide when.
#[forge::cron("0 0 1 1 *", timezone = "Europe/Berlin", overlap = queue, catch_up = 2, alias = "crons.annual")]
pub async fn yearly(ctx: &CronContext) -> Result<()> {
    let key = if ctx.is_requested() { "requested".to_owned() } else { ctx.local_time().to_string() };
    ctx.call(crate::probe::Append { key }).await?;
    Ok(())
}

/// Creates or replaces a schedule of [`tick`].
#[forge::mutation]
pub async fn schedule(
    ctx: &MutationContext,
    name: String,
    expression: String,
    overlap: CronOverlap,
    catch_up: u32,
    ms: u32,
) -> Result<CronId> {
    let cron = ctx.crons().create(name, Tick { ms }, expression).overlap(overlap).catch_up(catch_up);
    cron.or_replace().await
}

/// Pauses a schedule of [`tick`].
#[forge::mutation]
pub async fn pause(ctx: &MutationContext, name: String) -> Result<()> {
    ctx.crons().pause(&name).await
}
