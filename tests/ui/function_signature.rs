//! Functions that cannot be handlers.

use forge::prelude::*;

#[forge::query]
fn not_async(_ctx: &QueryContext) -> Result<()> { //~
    Ok(())
}

#[forge::query]
async fn no_context() -> Result<()> { //~
    Ok(())
}

#[forge::query]
async fn context_is_missing(id: u32) -> Result<()> { //~
    Ok(())
}

#[forge::query]
async fn context_of_a_mutation(ctx: &MutationContext) -> Result<()> { //~
    Ok(())
}

#[forge::action]
async fn context_by_value(ctx: ActionContext) -> Result<()> { //~
    Ok(())
}

#[forge::query]
async fn borrowed(ctx: &QueryContext, title: &str, tags: &[String], name: std::borrow::Cow<'_, str>) -> Result<()> { //~ 3
    Ok(())
}

#[forge::query]
async fn generic<T>(ctx: &QueryContext, value: T, other: impl Into<String>) -> Result<()> { //~ 2
    Ok(())
}

#[forge::query]
async fn patterns(ctx: &QueryContext, (a, b): (u8, u8), _: u8) -> Result<()> { //~ 2
    Ok(())
}

#[forge::query]
async fn same_name(ctx: &QueryContext, user_id: u8, r#userId: u8) -> Result<()> { //~
    Ok(())
}

#[forge::query]
async fn no_result(ctx: &QueryContext) -> u8 { //~
    1
}

#[forge::query]
async fn nothing(ctx: &QueryContext) {} //~

#[forge::query]
async fn result_of_nothing(ctx: &QueryContext) -> Result { //~
    Ok(())
}

#[forge::query]
async fn self_(ctx: &QueryContext) -> Result<()> { //~
    Ok(())
}

struct Tasks;

impl Tasks {
    #[forge::query]
    async fn method(&self, ctx: &QueryContext) -> Result<()> { //~
        Ok(())
    }
}

#[forge::query] //~
struct List;

fn main() {}
