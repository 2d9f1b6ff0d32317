//! Only workflows have journals.

use forge::prelude::*;

#[forge::job]
async fn remind(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::workflow_migration(from = 1, to = 2)]
fn of_a_job(_journal: &mut Journal<Remind>) -> Result<()> { //~
    Ok(())
}

fn main() {}
