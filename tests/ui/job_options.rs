//! Options of jobs that do not exist, belong to others or have values of the wrong shape.

use forge::prelude::*;

#[forge::job(attemps = 8)] //~
async fn misspelt(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(public, isolation = serializable)] //~ 2
async fn of_other_kinds(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job]
#[forge::require_role("editor")] //~
async fn nobody_calls_it(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::query(queue = "mail")] //~
async fn of_a_job(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::job(queue = "Mail!", priority = 101, attempts = 0, timeout = "25h", alias = "old")] //~ 5
async fn limits(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(backoff = "5s")] //~
async fn no_word(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(backoff = fibonacci("5s"))] //~
async fn unknown_word(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(backoff = exponential(5, max = "1h"))] //~
async fn no_duration(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(backoff = exponential("5s", maximum = "1h"))] //~
async fn no_such_argument(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(backoff = linear("5m", max = "10s"))] //~
async fn shorter_than_the_first(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(backoff = fixed("0s"))] //~
async fn in_circles(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job]
async fn other_context(_ctx: &ActionContext) -> Result<()> { //~
    Ok(())
}

fn main() {}
