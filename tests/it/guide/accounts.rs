//! Accounts, for the steps of the chapter.

use forge::prelude::*;

forge::id!(pub UserId, pub AccountId);

#[forge::mutation(internal)]
pub async fn open(_ctx: &MutationContext, user: UserId) -> Result<AccountId> {
    Ok(AccountId::from_uuid(*user.as_uuid()))
}

#[forge::mutation(internal)]
pub async fn close(_ctx: &MutationContext, id: AccountId) -> Result<bool> {
    Ok(!id.as_uuid().is_nil())
}
