//! What has an effect is a step, whose result is in the journal.

use forge::prelude::*;

#[forge::workflow]
async fn onboard(ctx: &WorkflowContext) -> Result<()> {
    let _ = ctx.db(); //~
    Ok(())
}

#[forge::workflow]
async fn welcome(ctx: &WorkflowContext) -> Result<()> {
    let _ = ctx.http(); //~
    Ok(())
}

fn main() {}
