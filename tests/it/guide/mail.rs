//! Mails, for the steps of the chapter.

use forge::prelude::*;

use super::accounts::UserId;

#[forge::action(internal)]
pub async fn welcome(_ctx: &ActionContext, user: UserId) -> Result<bool> {
    Ok(!user.as_uuid().is_nil())
}
