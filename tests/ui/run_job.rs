//! Who may wait for a job.

use forge::prelude::*;

#[forge::job]
async fn render(_ctx: &JobContext, pages: u32) -> Result<u32> {
    Ok(pages)
}

/// The job exists when the mutation has committed.
#[forge::mutation]
async fn in_a_mutation(ctx: &MutationContext) -> Result<u32> {
    Ok(ctx.run_job(Render { pages: 1 }).await?) //~
}

/// The worker would do nothing meanwhile.
#[forge::job]
async fn in_a_job(ctx: &JobContext) -> Result<u32> {
    Ok(ctx.run_job(Render { pages: 1 }).await?) //~
}

#[forge::query]
async fn counted(_ctx: &QueryContext) -> Result<u32> {
    Ok(1)
}

/// A query is called.
#[forge::action]
async fn not_a_job(ctx: &ActionContext) -> Result<u32> {
    Ok(ctx.run_job(Counted {}).await?) //~
}

fn main() {}
