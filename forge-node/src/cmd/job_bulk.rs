//! `jobs retry|cancel|discard --all`: counts the jobs that match, and with `--yes` has the node change them.

use forge_actors::job::admin::{BulkProgress, JobAction, JobDetail, JobFilter, JobMatches};
use serde_json::json;

use crate::cli::ChosenJobs;
use crate::cmd::bulk::{LOOK_INTERVAL, counts, end_of};
use crate::cmd::client::{Client, decode};
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::text::Text;

/// Counts the jobs; changes them with `--yes`, and waits for the last of them.
pub(super) async fn run(
    jobs: &ChosenJobs,
    filter: &JobFilter,
    action: JobAction,
    context: CommandContext<'_>,
) -> Result<(), Report> {
    let client = Client::of_administrator(&jobs.target, context)?;
    let counted = client.call("forge.countJobs", &json!({ "filter": filter, "action": action })).await?;
    let matches: JobMatches = decode(&counted)?;
    if !jobs.yes {
        output::data(if context.global.json {
            Text::json(&counted)
        } else {
            summary(&matches, action).into()
        });
        context.progress("nothing was changed; --yes does it");
        return Ok(());
    }
    let ask = json!({ "action": action, "filter": filter, "expected": matches.actionable });
    let mut answer = client.call("forge.bulkJobs", &ask).await?;
    let mut detail: JobDetail = decode(&answer)?;
    let id = detail.job.id;
    context.progress(&format!("job {id} does it; it goes on when this command ends"));
    loop {
        let bulk = detail.bulk.as_ref();
        let has_ended = bulk.is_none_or(|bulk| bulk.ended_at.is_some()) || detail.job.finished_at.is_some();
        if has_ended {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        answer = client.call("forge.job", &json!({ "id": id })).await?;
        detail = decode(&answer)?;
        if let Some(bulk) = &detail.bulk {
            context.progress(&progress(bulk));
        }
    }
    let result = detail.bulk.as_ref().map(progress).unwrap_or_default();
    output::data(if context.global.json { Text::json(&answer) } else { Text::from(&result) });
    end_of(detail.job)
}

/// What was counted, in a sentence.
fn summary(matches: &JobMatches, action: JobAction) -> String {
    let of = counts(matches.statuses.iter().map(|found| (found.count, found.status.as_str())));
    let hidden = match matches.unsearched.is_empty() {
        true => String::new(),
        false => format!("\nleft out, since their arguments hold secrets: {}", matches.unsearched.join(", ")),
    };
    let (total, actionable) = (matches.total, matches.actionable);
    format!("{total} jobs match{of}; {} would change {actionable} of them{hidden}", action.as_str())
}

/// How far an action on many jobs is.
pub(super) fn progress(bulk: &BulkProgress) -> String {
    let of = bulk.expected.map(|count| format!(" of {count}")).unwrap_or_default();
    let skipped = match bulk.skipped {
        0 => String::new(),
        count => format!(", {count} had changed meanwhile"),
    };
    let state = if bulk.ended_at.is_some() { "" } else { ", goes on" };
    format!("{} {}: {}{of} done{skipped}{state}", bulk.action.as_str(), bulk.filter, bulk.done)
}
