//! `workflows history`: the history of a run as a file, which a test of the application replays.

use forge_actors::workflow::admin::WorkflowHistoryPart;
use forge_actors::workflow::history::WorkflowHistory;
use serde_json::json;

use crate::cli::OneRun;
use crate::cmd::client::{Client, decode};
use crate::cmd::run_name::id_of;
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::facts;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;

/// Reads all parts of the history, and prints it.
pub(super) async fn run(run: &OneRun, context: CommandContext<'_>) -> Result<(), Report> {
    let client = Client::of_administrator(&run.target, context)?;
    let id = id_of(&client, &run.run).await?;
    let mut parts: Vec<WorkflowHistoryPart> = Vec::new();
    loop {
        let after = parts.last().and_then(|part| part.next.as_deref());
        let answer = client.call("forge.workflowHistory", &json!({ "id": id, "after": after })).await?;
        let part: WorkflowHistoryPart = decode(&answer)?;
        let is_last = part.next.is_none();
        parts.push(part);
        if is_last {
            break;
        }
    }
    let history = WorkflowHistory::of(parts).map_err(|error| {
        Report::new(Exit::Failed, "workflow-history", "the history could not be read").cause(error).help(
            "run the command again; `forge-node workflows pause` lets the run go on no further meanwhile",
        )
    })?;
    output::data(match context.global.json {
        true => Text::pretty_json(&json!(history)),
        false => render(&history, context.palette()),
    });
    Ok(())
}

/// What the file of a history would hold.
fn render(history: &WorkflowHistory, palette: Palette) -> Text {
    let run = &history.run;
    let bytes: usize = history.steps.iter().filter_map(|step| step.output.as_ref().map(String::len)).sum();
    let redacted = history.steps.iter().filter(|step| step.is_redacted).count();
    let redacted = (redacted > 0).then(|| format!("the secrets in the results of {redacted} steps"));
    facts::render(
        [
            ("run", facts::value(&run.id.to_string())),
            ("workflow", facts::value(&format!("{}, version {}", run.workflow, run.version))),
            ("status", facts::value(run.status.as_str())),
            ("journal", facts::value(&format!("{} steps, {bytes} bytes of results", history.steps.len()))),
            ("redacted", redacted.as_deref().and_then(facts::value)),
            ("to a file", facts::value("with --json; `cx.replay(include_str!(..))` replays it in a test")),
        ],
        palette,
    )
}
