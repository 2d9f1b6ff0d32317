//! Handlers whose mistakes only the type checker sees.

use forge::prelude::*;

type Context = MutationContext;

#[forge::query]
async fn context_behind_an_alias(_ctx: &Context) -> Result<()> { //~
    Ok(())
}

#[forge::query]
async fn error_is_not_declared(_ctx: &QueryContext) -> Result<(), std::num::ParseIntError> { //~
    Ok(())
}

fn main() {}
