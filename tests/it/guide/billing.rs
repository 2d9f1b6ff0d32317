//! Two versions of a workflow beside each other.

use forge::prelude::*;

#[forge::workflow(version = 2)]
pub async fn renew(ctx: &WorkflowContext, contract: u32) -> Result<u32> {
    let price = ctx.step("price", move || async move { Ok(contract * 2) }).await?;
    ctx.sleep(days(14)).await;
    Ok(price)
}

/// Runs that began before version 2 go on with this function.
#[forge::workflow(version = 1, deprecated, name = "billing.renew")]
pub async fn renew_v1(ctx: &WorkflowContext, contract: u32) -> Result<u32> {
    ctx.sleep(days(14)).await;
    ctx.step("price", move || async move { Ok(contract) }).await
}
