//! A cron runs on its schedule: nothing calls or dispatches it.

use forge::prelude::*;

#[forge::cron("@daily")]
async fn digest(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::mutation]
async fn call(ctx: &MutationContext) -> Result<()> {
    ctx.call(Digest {}).await?; //~
    Ok(())
}

#[forge::mutation]
async fn dispatch(ctx: &MutationContext) -> Result<()> {
    ctx.dispatch(Digest {}).await?; //~
    Ok(())
}

fn main() {}
