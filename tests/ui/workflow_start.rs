//! What starts, and what is started.

use forge::prelude::*;

#[forge::workflow]
async fn onboard(_ctx: &WorkflowContext, user: u32) -> Result<()> {
    Ok(())
}

#[forge::job]
async fn render(_ctx: &JobContext, pages: u32) -> Result<()> {
    Ok(())
}

/// A job is dispatched.
#[forge::mutation]
async fn a_job(ctx: &MutationContext) -> Result<()> {
    ctx.start(Render { pages: 1 }).await?; //~
    Ok(())
}

/// A run is a row.
#[forge::query]
async fn in_a_query(ctx: &QueryContext) -> Result<()> {
    ctx.start(Onboard { user: 1 }).await?; //~
    Ok(())
}

fn main() {}
