//! The run that a person names by the first digits of its id.

use forge_actors::kernel::ids::RunId;
use forge_actors::workflow::admin::WorkflowRow;
use serde_json::json;

use crate::cli::RunName;
use crate::cmd::client::{Client, decode};
use crate::cmd::live_list::TIME;
use crate::terminal::report::{Exit, Report};

/// Runs that a refusal lists.
const LISTED_MAX: usize = 10;

/// The id of the run.
///
/// # Errors
/// When no run has an id that begins so, or several have; these are listed.
pub(super) async fn id_of(client: &Client, name: &RunName) -> Result<RunId, Report> {
    let prefix = match name {
        RunName::Whole(id) => return Ok(*id),
        RunName::Beginning(prefix) => prefix,
    };
    let answer = client.call("forge.findWorkflows", &json!({ "prefix": prefix.to_string() })).await?;
    let found: Vec<WorkflowRow> = decode(&answer)?;
    match &*found {
        [run] => Ok(run.id),
        [] => {
            let message = format!("there is no run whose id begins with {prefix}");
            let help = "`workflows ls` lists the runs; those that have ended are kept for a while only";
            Err(Report::new(Exit::NotFound, "no-run", message).help(help))
        }
        several => {
            let message = format!("several runs have ids that begin with {prefix}");
            let help = "name one of them by more of its digits";
            Err(Report::new(Exit::Usage, "ambiguous-run", message).cause(listed(several)).help(help))
        }
    }
}

/// The runs, one a line.
fn listed(runs: &[WorkflowRow]) -> String {
    let line = |run: &WorkflowRow| {
        let WorkflowRow { id, workflow, version, status, created_at, .. } = run;
        format!("{id} {} {workflow} v{version}, {}", status.as_str(), created_at.format(TIME))
    };
    let mut lines: Vec<String> = runs.iter().take(LISTED_MAX).map(line).collect();
    if runs.len() > LISTED_MAX {
        lines.push("and others".to_owned());
    }
    lines.join("\n")
}
