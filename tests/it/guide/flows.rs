//! The workflow at the head of the chapter, and the test that replays one of its runs.

use forge::prelude::*;
use forge::testing::{TestContext, TestResult};

use super::accounts::{self, UserId};
use super::{crm, mail};

#[forge::event(key = user)]
pub struct EmailVerified {
    pub user: UserId,
}

/// Opens an account and waits until the user has verified the address.
#[forge::workflow(timeout = "30d")]
pub async fn onboard(ctx: &WorkflowContext, user: UserId) -> Result<bool> {
    let account = ctx
        .step("account", accounts::Open { user })
        .retry(5)
        .compensate(|account| accounts::Close { id: *account })
        .await?;
    ctx.parallel((
        ctx.step("crm", crm::Register { account }),
        ctx.step("mail", mail::Welcome { user }).optional(),
    ))
    .await?;
    match ctx.wait_for::<EmailVerified>(user).timeout(days(7)).await? {
        Some(_) => Ok(true),
        // The account is closed again.
        None => Err(Fault::new(Code::Conflict, "the address was never verified")),
    }
}

#[forge::test]
async fn runs_that_were_recorded_fit_this_code(cx: TestContext) -> TestResult {
    let replayed = cx.replay(include_str!("onboard-1.json")).await?;
    assert!(!replayed.was_open);
    Ok(())
}
