//! Functions that are no workflows.

use forge::prelude::*;

#[forge::workflow]
async fn other_context(_ctx: &JobContext) -> Result<()> { //~
    Ok(())
}

#[forge::mutation]
async fn of_a_workflow(_ctx: &WorkflowContext) -> Result<()> { //~
    Ok(())
}

#[forge::workflow]
async fn no_context(user: u32) -> Result<()> { //~
    Ok(())
}

#[forge::workflow]
fn not_async(_ctx: &WorkflowContext) -> Result<()> { //~
    Ok(())
}

#[forge::workflow]
async fn borrows(_ctx: &WorkflowContext, name: &str) -> Result<()> { //~
    Ok(())
}

#[forge::workflow] //~
struct Onboard {
    user: u32,
}

fn main() {}
