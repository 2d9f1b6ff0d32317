//! Mutations that start a workflow.

use forge::prelude::*;

use super::accounts::UserId;
use super::flows;

#[forge::mutation]
pub async fn sign_up(ctx: &MutationContext, user: UserId) -> Result<WorkflowHandle<flows::Onboard>> {
    ctx.start(flows::Onboard { user }).id(("onboard", user)).handle().await
}

#[forge::mutation(internal)]
pub async fn import(ctx: &MutationContext, user: UserId) -> Result<RunId> {
    let run = ctx.start(flows::Onboard { user }).id(("onboard", user)).await?;
    Ok(run)
}
