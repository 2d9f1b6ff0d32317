use forge::prelude::*;

#[forge::job(concurrency(key = tenant))] //~
async fn without_a_limit(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(concurrency = 3)] //~
async fn as_a_call_is_limited(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(concurrency(limit = 2, key = project))] //~
async fn by_no_argument(_ctx: &JobContext, task: u32) -> Result<()> {
    Ok(())
}

#[forge::job(rate_limit(requests = 100))] //~
async fn in_no_time(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(unique(by = task), debounce(by = task, wait = "5s"))] //~
async fn unique_in_two_ways(_ctx: &JobContext, task: u32) -> Result<()> {
    Ok(())
}

#[forge::job(unique(by = task, states = any))] //~
async fn for_ever(_ctx: &JobContext, task: u32) -> Result<()> {
    Ok(())
}

#[forge::job(unique(by = "task"))] //~
async fn by_a_text(_ctx: &JobContext, task: u32) -> Result<()> {
    Ok(())
}

#[forge::job(capability = "GPU!")] //~
async fn on_no_node(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::job(resources(memory = "0B"))] //~
async fn of_nothing(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::query(rate_limit(requests = 100, per = "1m"))] //~
async fn not_a_job(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

fn main() {}
