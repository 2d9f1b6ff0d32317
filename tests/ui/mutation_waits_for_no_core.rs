//! A mutation holds a transaction: it does not wait for a core.

use forge::prelude::*;

#[forge::mutation]
async fn sign_up(ctx: &MutationContext) -> Result<()> {
    let _ = ctx.blocking(|| ()).await; //~
    Ok(())
}

fn main() {}
