//! A query runs in a read-only transaction: it cannot call a mutation.

use forge::prelude::*;

#[forge::mutation]
async fn create(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

#[forge::query]
async fn list(ctx: &QueryContext) -> Result<()> {
    ctx.call(Create {}).await?; //~
    Ok(())
}

fn main() {}
