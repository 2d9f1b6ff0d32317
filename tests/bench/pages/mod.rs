//! What the dashboard and the command line read of jobs, on millions of rows: how long each answer takes, and
//! whether other clients' live queries notice that a page is open.

mod command;
mod others;
mod reads;
mod rows;

use forge_tests::probe;

use crate::goal::Goal;
use crate::stage::Stage;

/// An answer of a page, or of a command beyond its start, in milliseconds.
const ANSWER_MS_MAX: f64 = 300.0;

/// On `rows` jobs.
pub(crate) async fn run(rows: u64) -> anyhow::Result<Vec<Goal>> {
    // The rows stay as they are written: priorities do not age meanwhile, and their queues are paused.
    let config = format!("{}\n[jobs]\nage_after = \"0s\"\n", probe::CONFIG);
    let stage = Stage::with(&config).await;
    rows::write(&stage.database, rows).await;
    let mut goals = reads::run(&stage).await?;
    goals.extend(command::run(&stage).await?);
    goals.extend(others::run(&stage).await);
    Ok(goals)
}
