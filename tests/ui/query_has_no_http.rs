//! A query cannot be rolled back at the other end of a connection: it has no HTTP client.

use forge::prelude::*;

#[forge::query]
async fn list(ctx: &QueryContext) -> Result<()> {
    let _ = ctx.http(); //~
    Ok(())
}

fn main() {}
