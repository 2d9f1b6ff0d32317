//! A job is dispatched, not called.

use forge::prelude::*;

#[forge::job]
async fn remind(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::action]
async fn call(ctx: &ActionContext) -> Result<()> {
    ctx.call(Remind {}).await?; //~
    Ok(())
}

fn main() {}
