//! What a workflow cannot do but as a step.

use forge::prelude::*;

#[forge::query]
async fn count(_ctx: &QueryContext) -> Result<i64> {
    Ok(1)
}

#[forge::job]
async fn render(_ctx: &JobContext) -> Result<u32> {
    Ok(1)
}

#[forge::workflow]
async fn calls(ctx: &WorkflowContext) -> Result<i64> {
    Ok(ctx.call(Count {}).await?) //~
}

#[forge::workflow]
async fn runs_a_job_as_a_step(ctx: &WorkflowContext) -> Result<u32> {
    ctx.step("render", Render {}).await //~
}

struct Verified {
    user: u32,
}

#[forge::workflow]
async fn waits_for_a_struct(ctx: &WorkflowContext) -> Result<()> {
    ctx.wait_for::<Verified>(1).await?; //~
    Ok(())
}

#[forge::event(key = user)]
struct Moved {
    user: u32,
}

#[forge::workflow]
async fn waits_for_another_key(ctx: &WorkflowContext, name: String) -> Result<()> {
    ctx.wait_for::<Moved>(name).await?; //~
    Ok(())
}

fn main() {}
