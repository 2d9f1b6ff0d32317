//! A mutation that starts a workflow.

use forge::prelude::*;

use super::accounts::UserId;
use super::flows;

#[forge::mutation(internal)]
pub async fn sign_up(ctx: &MutationContext, user: UserId) -> Result<RunId> {
    let run = ctx.start(flows::Onboard { user }).id(("onboard", user)).await?;
    Ok(run)
}
