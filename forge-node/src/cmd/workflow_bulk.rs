//! `workflows bulk`: counts the runs that match, and with `--yes` has the node change them.

use forge_actors::job::admin::JobDetail;
use forge_actors::workflow::admin::{WorkflowAction, WorkflowFilter, WorkflowMatches};
use serde_json::json;

use crate::cli::Target;
use crate::cmd::bulk::{LOOK_INTERVAL, counts, end_of};
use crate::cmd::client::{Client, decode};
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::text::Text;

/// What is done to many runs.
pub(super) struct Bulk<'a> {
    pub(super) action: WorkflowAction,
    pub(super) filter: WorkflowFilter,
    pub(super) reason: Option<&'a str>,
    pub(super) yes: bool,
}

/// Counts the runs; changes them with `--yes`, and waits for the last of them.
pub(super) async fn run(bulk: &Bulk<'_>, target: &Target, context: CommandContext<'_>) -> Result<(), Report> {
    let Bulk { action, filter, reason, yes } = bulk;
    let client = Client::of_administrator(target, context)?;
    let counted = client.call("forge.countWorkflows", &json!({ "filter": filter, "action": action })).await?;
    let matches: WorkflowMatches = decode(&counted)?;
    if !yes {
        output::data(if context.global.json {
            Text::json(&counted)
        } else {
            summary(&matches, *action).into()
        });
        context.progress("nothing was changed; --yes does it");
        return Ok(());
    }
    let ask = json!({ "action": action, "filter": filter, "reason": reason, "expected": matches.actionable });
    let mut answer = client.call("forge.bulkWorkflows", &ask).await?;
    let mut detail: JobDetail = decode(&answer)?;
    let id = detail.job.id;
    context.progress(&format!("job {id} does it; it goes on when this command ends"));
    while detail.job.finished_at.is_none() {
        tokio::time::sleep(LOOK_INTERVAL).await;
        answer = client.call("forge.job", &json!({ "id": id })).await?;
        detail = decode(&answer)?;
        if let Some(message) = &detail.message {
            context.progress(message);
        }
    }
    let result = detail.result.as_deref().unwrap_or("nothing is known of what was done");
    output::data(if context.global.json { Text::json(&answer) } else { Text::from(&result.to_owned()) });
    end_of(detail.job)
}

/// What was counted, in a sentence.
fn summary(matches: &WorkflowMatches, action: WorkflowAction) -> String {
    let of = counts(matches.statuses.iter().map(|found| (found.count, found.status.as_str())));
    let (total, actionable) = (matches.total, matches.actionable);
    format!("{total} runs match{of}; {} would change {actionable} of them", action.as_str())
}
