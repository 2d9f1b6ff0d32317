//! Migrations of workflows, declared wrongly.

use forge::prelude::*;

#[forge::workflow(version = 2)]
async fn onboard(_ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::workflow_migration(from = 2, to = 1)] //~
fn backwards(_journal: &mut Journal<Onboard>) -> Result<()> {
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 1)] //~
fn nowhere(_journal: &mut Journal<Onboard>) -> Result<()> {
    Ok(())
}

#[forge::workflow_migration(from = 1)] //~
fn without_to(_journal: &mut Journal<Onboard>) -> Result<()> {
    Ok(())
}

#[forge::workflow_migration] //~
fn without_versions(_journal: &mut Journal<Onboard>) -> Result<()> {
    Ok(())
}

#[forge::workflow_migration(from = 0, to = "2", version = 2)] //~ 3
fn values(_journal: &mut Journal<Onboard>) -> Result<()> {
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
async fn waits(_journal: &mut Journal<Onboard>) -> Result<()> { //~
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
fn by_value(_journal: Journal<Onboard>) -> Result<()> { //~
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
fn reads_only(_journal: &Journal<Onboard>) -> Result<()> { //~
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
fn of_every_workflow<H: Handler>(_journal: &mut Journal<H>) -> Result<()> { //~
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
fn with_a_context(_ctx: &WorkflowContext, _journal: &mut Journal<Onboard>) -> Result<()> { //~
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
fn without_a_journal() -> Result<()> { //~
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
fn infallible(_journal: &mut Journal<Onboard>) {} //~

#[forge::workflow_migration(from = 1, to = 2)]
fn with_a_result(_journal: &mut Journal<Onboard>) -> Result<u32> { //~
    Ok(1)
}

#[forge::workflow_migration(from = 1, to = 2)] //~
struct OneToTwo;

fn main() {}
