//! An action has no transaction, so it has no database.

use forge::prelude::*;

#[forge::action]
async fn send(ctx: &ActionContext) -> Result<()> {
    let _ = ctx.db(); //~
    Ok(())
}

fn main() {}
