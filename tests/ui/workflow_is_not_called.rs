//! A workflow is started: nothing calls or dispatches it.

use forge::prelude::*;

#[forge::workflow]
async fn onboard(_ctx: &WorkflowContext, user: u32) -> Result<()> {
    Ok(())
}

#[forge::mutation]
async fn call(ctx: &MutationContext) -> Result<()> {
    ctx.call(Onboard { user: 1 }).await?; //~
    Ok(())
}

#[forge::workflow]
async fn renew(ctx: &WorkflowContext) -> Result<()> {
    ctx.step("onboard", Onboard { user: 1 }).await //~
}

#[forge::action]
async fn dispatch(ctx: &ActionContext) -> Result<()> {
    ctx.dispatch(Onboard { user: 1 }).await?; //~
    Ok(())
}

fn main() {}
