//! Types that clients cannot be told.

use forge::prelude::*;

struct Local;

#[forge::query]
async fn answers(_ctx: &QueryContext) -> Result<Local> {
    Ok(Local)
}

#[forge::query]
async fn takes(_ctx: &QueryContext, local: Local) -> Result<()> {
    drop(local);
    Ok(())
}

fn main() {}
