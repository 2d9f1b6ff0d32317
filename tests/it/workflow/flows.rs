//! The workflows of these tests, and the handlers that start them.

use forge::app::workflow::JournalEntry;
use forge::prelude::*;

/// Writes what a step has done.
#[forge::mutation(internal)]
pub async fn note(ctx: &MutationContext, run: RunId, entry: String) -> Result<u32> {
    let insert = "INSERT INTO log (run, entry) VALUES ($1, $2)";
    sqlx::query(insert).bind(run.to_string()).bind(&entry).execute(ctx.db()).await?;
    Ok(entry.len() as u32)
}

/// As [`note`], from outside of any transaction.
#[forge::action(internal)]
pub async fn note_by_action(ctx: &ActionContext, run: RunId, entry: String) -> Result<u32> {
    Ok(ctx.call(Note { run, entry }).await?)
}

/// Fails.
#[forge::action(internal)]
pub async fn refuse(_ctx: &ActionContext) -> Result<u32, FlowError> {
    Err(FlowError::Refused { why: "no".to_owned() })
}

#[forge::error]
pub enum FlowError {
    /// It was refused.
    #[code("REFUSED", status = 409)]
    Refused { why: String },
}

#[forge::event(key = order)]
pub struct Paid {
    pub order: u32,
    pub amount: u32,
}

#[forge::event]
pub struct Nudge {
    pub text: String,
}

/// Three steps.
#[forge::workflow]
pub async fn three(ctx: &WorkflowContext, times: u32) -> Result<u32> {
    let run = ctx.run_id();
    let mut sum = 0;
    for time in 0..times {
        sum += ctx.step("note", Note { run, entry: format!("note {time}") }).await?;
    }
    let doubled = ctx.step("double", || async move { Ok(sum * 2) }).await?;
    let by_action = ctx
        .step("act", move |ctx: ActionContext| async move {
            Ok(ctx.call(Note { run, entry: "by an action".to_owned() }).await?)
        })
        .await?;
    Ok(doubled + by_action)
}

#[forge::mutation(internal)]
pub async fn start_three(ctx: &MutationContext, times: u32) -> Result<RunId> {
    ctx.start(Three { times }).await
}

#[forge::action(internal)]
pub async fn start_three_alone(ctx: &ActionContext, times: u32) -> Result<RunId> {
    ctx.start(Three { times }).await
}
