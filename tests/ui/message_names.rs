//! Messages whose name another item has, and names that a message cannot have.

use forge::prelude::*;

#[forge::data]
#[derive(Debug)]
pub struct Item {
    pub name: String,
}

#[forge::query]
async fn item(_ctx: &QueryContext, name: String) -> Result<Item> {
    Ok(Item { name })
}

#[forge::action]
async fn calls_the_type(ctx: &ActionContext) -> Result<Item> {
    let item = Item { name: "a".to_owned() };
    Ok(ctx.call(item).await?) //~
}

#[forge::query]
async fn result(_ctx: &QueryContext) -> Result<()> { //~
    Ok(())
}

#[forge::query(message = "all_items")] //~
async fn items(_ctx: &QueryContext) -> Result<Vec<Item>> {
    Ok(Vec::new())
}

fn main() {}
