//! A job writes inside of `ctx.commit`, and is dispatched instead of called.

use forge::prelude::*;

#[forge::job]
async fn remind(ctx: &JobContext) -> Result<()> {
    let _ = ctx.db();
    Ok(())
}

#[forge::action]
async fn call(ctx: &ActionContext) -> Result<()> {
    ctx.call(Remind {}).await?;
    Ok(())
}

fn main() {}
