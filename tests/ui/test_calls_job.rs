//! A test does not call a job: it dispatches it and runs the jobs.

use forge::prelude::*;
use forge::testing::TestContext;

#[forge::job]
pub async fn announce(ctx: &JobContext, title: String) -> Result<()> {
    Ok(())
}

async fn calls(cx: TestContext) {
    let _ = cx.call(Announce { title: "Spring".to_owned() }).await; //~
}

fn main() {}
