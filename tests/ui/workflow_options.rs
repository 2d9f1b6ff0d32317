//! Options of workflows that do not exist, belong to others or have values of the wrong shape.

use forge::prelude::*;

#[forge::workflow(versoin = 2)] //~
async fn misspelt(_ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::workflow(queue = "mail", retain = "30d")] //~ 2
async fn of_a_job(_ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::workflow(public)] //~
async fn nobody_calls_it(_ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[forge::require_role("editor")] //~
async fn nor_with_a_role(_ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::workflow(version = 0, timeout = "500ms", retention = "0d", deprecated = true, alias = "old")] //~ 5
async fn limits(_ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::workflow(version = "2", timeout = "1y")] //~ 2
async fn values(_ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::job(version = 2)] //~
async fn of_a_workflow(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

fn main() {}
