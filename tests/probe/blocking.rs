//! Handlers that block the thread on which they run, until the file `gate` exists.

use std::path::Path;
use std::thread;
use std::time::Duration;

use forge::prelude::*;

use super::Append;

/// Dispatches jobs that block their threads.
#[forge::mutation]
pub async fn enqueue_blocking(ctx: &MutationContext, count: u32, gate: String) -> Result<()> {
    for number in 0..count {
        ctx.dispatch(Block { key: format!("block-{number}"), gate: gate.clone() }).await?;
    }
    Ok(())
}

/// Writes that it has begun, and sleeps on its thread.
#[forge::job(queue = "work", attempts = 3, timeout = "10m")]
pub async fn block(ctx: &JobContext, key: String, gate: String) -> Result<()> {
    ctx.call(Append { key }).await?;
    sleep_until(&gate);
    Ok(())
}

/// Writes that it has run, within a short time limit and without a second attempt.
#[forge::job(queue = "work", attempts = 1, timeout = "2s")]
pub async fn brief(ctx: &JobContext, key: String) -> Result<()> {
    ctx.call(Append { key }).await?;
    Ok(())
}

/// Sleeps on its thread.
#[forge::query(timeout = "1s")]
pub async fn doze(_ctx: &QueryContext, gate: String) -> Result<()> {
    sleep_until(&gate);
    Ok(())
}

/// Writes, and then sleeps on its thread.
#[forge::mutation(timeout = "1s")]
pub async fn append_and_doze(ctx: &MutationContext, key: String, gate: String) -> Result<()> {
    ctx.call(Append { key }).await?;
    sleep_until(&gate);
    Ok(())
}

/// Does nothing, and has longer for it than clients wait.
#[forge::query(timeout = "2m")]
pub async fn patient(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

/// Computes without a pause.
#[forge::action(timeout = "1s")]
pub async fn spin(_ctx: &ActionContext, gate: String) -> Result<()> {
    while !Path::new(&gate).exists() {
        std::hint::spin_loop();
    }
    Ok(())
}

pub(super) fn sleep_until(gate: &str) {
    while !Path::new(gate).exists() {
        thread::sleep(Duration::from_millis(20));
    }
}
