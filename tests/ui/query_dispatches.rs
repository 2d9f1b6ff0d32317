//! A query only reads: it cannot dispatch a job, and what is dispatched is a job.

use forge::prelude::*;

#[forge::job]
async fn remind(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::mutation]
async fn create(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

#[forge::query]
async fn list(ctx: &QueryContext) -> Result<()> {
    ctx.dispatch(Remind {}).await?; //~
    Ok(())
}

#[forge::mutation]
async fn no_job(ctx: &MutationContext) -> Result<()> {
    ctx.dispatch(Create {}).await?; //~
    Ok(())
}

fn main() {}
