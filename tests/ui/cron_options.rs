//! Schedules and zones that do not exist, and options that belong to others or have values of the wrong shape.

use forge::prelude::*;

#[forge::cron("61 9 * * MON-FRI")] //~
async fn no_such_minute(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("0 9 * *")] //~
async fn too_few_fields(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("0 0 30 2 *")] //~
async fn never(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@nightly")] //~
async fn no_nickname(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron(5)] //~
async fn no_text(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@daily" timezone = "UTC")] //~
async fn no_comma(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@daily", timezone = "Europe/Berln")] //~
async fn misspelt_zone(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@daily", timezone = "Berlin")] //~
async fn half_a_zone(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@daily", overlap = "skip", catch_up = 101, jitter = "25h", timeout = "25h")] //~ 4
async fn limits(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@daily", overlaps = skip)] //~
async fn misspelt(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@daily", public)] //~
async fn nobody_calls_it(_ctx: &CronContext) -> Result<()> {
    Ok(())
}

#[forge::job(timezone = "UTC")] //~
async fn of_a_cron(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

#[forge::cron("@daily")]
async fn with_arguments(_ctx: &CronContext, project: Uuid) -> Result<()> { //~
    Ok(())
}

#[forge::cron("@daily")]
async fn other_context(_ctx: &JobContext) -> Result<()> { //~
    Ok(())
}

fn main() {}
