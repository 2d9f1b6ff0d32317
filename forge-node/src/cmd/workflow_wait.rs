//! `--wait`: looks at a run until it has ended, also when it goes on as a new one.

use std::time::{Duration, Instant};

use forge_actors::kernel::ids::RunId;
use forge_actors::kernel::time::{format_duration, millis, secs};
use forge_actors::workflow::admin::{WorkflowDetail, WorkflowPage, WorkflowRow, WorkflowStatus};
use serde_json::{Value, json};

use crate::cli::WaitFlags;
use crate::cmd::client::{Client, decode};
use crate::cmd::workflow_show;
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;

/// Time before the second look at a run; doubled with each look, up to [`LOOK_INTERVAL_MAX`].
const LOOK_INTERVAL_MIN: Duration = millis(100);
const LOOK_INTERVAL_MAX: Duration = secs(1);
/// For so long a node that does not answer is asked again: it may be replaced by another one meanwhile.
const OUTAGE_MAX: Duration = secs(30);

/// Waits until a run has ended, and prints it.
///
/// # Errors
/// When it has not completed, or the wait has taken too long.
pub(super) async fn show_end(
    client: &Client,
    run: RunId,
    flags: WaitFlags,
    context: CommandContext<'_>,
) -> Result<(), Report> {
    let mut wait =
        RunWait { client, run, deadline: flags.timeout.map(|limit| (Instant::now() + limit, limit)) };
    let answer = loop {
        let row = wait.ended(context).await?;
        let answer = wait.ask("forge.workflow", &json!({ "id": row.id }), context).await?;
        let detail: WorkflowDetail = decode(&answer)?;
        match (row.status, detail.continued_as) {
            (WorkflowStatus::Continued, Some(next)) => {
                context.progress(&format!("the run {} goes on as {next}", row.id));
                wait.run = next;
            }
            _ => break answer,
        }
    };
    let detail: WorkflowDetail = decode(&answer)?;
    output::data(match context.global.json {
        true => Text::json(&answer),
        false => workflow_show::show(&detail, std::time::SystemTime::now().into(), context.palette()),
    });
    outcome(&detail.run)
}

/// Whether the run has completed.
fn outcome(run: &WorkflowRow) -> Result<(), Report> {
    if run.status == WorkflowStatus::Completed {
        return Ok(());
    }
    let message = format!("the run {} is {}", run.id, run.status.as_str());
    let report = Report::new(Exit::NotCompleted, "run-not-completed", message);
    Err(match &run.error {
        Some(error) => report.cause(format!("{}: {}", error.code, error.message)),
        None => report,
    })
}

/// A run whose end is waited for.
struct RunWait<'a> {
    client: &'a Client,
    run: RunId,
    /// When the wait is over, and how long it may last.
    deadline: Option<(Instant, Duration)>,
}

impl RunWait<'_> {
    /// Looks at the run until it has ended, and says what it does meanwhile.
    async fn ended(&self, context: CommandContext<'_>) -> Result<WorkflowRow, Report> {
        let ask = json!({ "filter": { "id": self.run }, "limit": 1 });
        let mut pause = LOOK_INTERVAL_MIN;
        let mut shown = None;
        loop {
            let page: WorkflowPage = decode(&self.ask("forge.workflows", &ask, context).await?)?;
            let row = page.rows.into_iter().next().ok_or_else(|| {
                let message = format!("there is no run {}", self.run);
                Report::new(Exit::NotFound, "no-run", message)
                    .help("those that have ended are kept for a while only")
            })?;
            if row.status.is_ended() {
                return Ok(row);
            }
            if shown.replace(row.status) != Some(row.status) {
                context.progress(&state(&row));
            }
            self.pause(pause, row.status).await?;
            pause = (pause * 2).min(LOOK_INTERVAL_MAX);
        }
    }

    /// Waits for the next look.
    async fn pause(&self, pause: Duration, status: WorkflowStatus) -> Result<(), Report> {
        let Some((deadline, limit)) = self.deadline else {
            tokio::time::sleep(pause).await;
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = format!(
                "the run {} is {} after {}: it has not ended",
                self.run,
                status.as_str(),
                format_duration(limit)
            );
            let help = match status {
                WorkflowStatus::Paused | WorkflowStatus::Diverged | WorkflowStatus::CompensationFailed => {
                    "it waits for an operator: resume, retry, skip or terminate it; `workflows show` says why"
                }
                _ => "it goes on; `workflows show` says what it waits for",
            };
            return Err(Report::new(Exit::Timeout, "run-timeout", message).help(help));
        }
        tokio::time::sleep(pause.min(left)).await;
        Ok(())
    }

    /// Calls a query; again for a while when the node does not answer, or is not ready.
    async fn ask(&self, function: &str, args: &Value, context: CommandContext<'_>) -> Result<Value, Report> {
        let mut since = None;
        loop {
            let report = match self.client.call(function, args).await {
                Ok(answer) => return Ok(answer),
                Err(report) => report,
            };
            let is_first = since.is_none();
            let since = *since.get_or_insert_with(Instant::now);
            let is_outage = matches!(
                &*report.code,
                "node-unreachable" | "node-timeout" | "not-a-node" | "UNAVAILABLE" | "OVERLOADED" | "TIMEOUT"
            );
            let is_over = self.deadline.is_some_and(|(deadline, _)| deadline <= Instant::now());
            if !is_outage || is_over || since.elapsed() > OUTAGE_MAX {
                return Err(report);
            }
            if is_first {
                context.progress(&format!("{}; asking again", report.message));
            }
            tokio::time::sleep(LOOK_INTERVAL_MAX).await;
        }
    }
}

/// What a run does, in a sentence.
fn state(row: &WorkflowRow) -> String {
    let error = row.error.as_ref().map(|error| format!(": {}: {}", error.code, error.message));
    format!("the run {} is {}{}", row.id, row.status.as_str(), error.unwrap_or_default())
}
