//! `forge.redeem`: exchanges the code of a one-time link for a token.

use std::time::Duration;

use crate::app::sign_in_link::{DEVELOPER, refused};
use crate::app::{MutationContext, Result};
use crate::kernel::time::{Timestamp, hours};

/// How long the token of a link lives.
const TOKEN_TTL: Duration = hours(12);

/// A token, and until when it is good.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// For `Authorization: Bearer`, or the `hello` of a WebSocket.
    pub token: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Exchanges the code of a one-time link for a token; a second exchange of the same code is refused.
#[forge_app_macros::mutation(name = "forge.redeem", public)]
pub async fn redeem(ctx: &MutationContext, code: String) -> Result<SignedIn> {
    let tokens = ctx.tokens()?;
    let link = tokens.verify_link(&code)?;
    let used = sqlx::query(include_str!("sql/use_link.sql"))
        .bind(link.id)
        .bind(tokens.link_accepted_until(&link) as f64)
        .execute(ctx.db())
        .await?;
    if used.rows_affected() == 0 {
        return Err(refused("the link was used before; `forge-node dashboard` prints another"));
    }
    let token = tokens.issue(DEVELOPER, &["admin"], None, TOKEN_TTL)?;
    Ok(SignedIn { token, expires_at: chrono::Utc::now() + TOKEN_TTL })
}
