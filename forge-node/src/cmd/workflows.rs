//! `workflows`: lists and shows runs through a running node, and does something about them.

use forge_actors::dashboard::workflow_commands::WorkflowChange;
use forge_actors::workflow::admin::{WorkflowDetail, WorkflowPage, WorkflowRow};
use serde_json::{Value, json};

use crate::cli::{OneRun, Workflows, WorkflowsStep};
use crate::cmd::client::{Client, print};
use crate::cmd::live_list::{TIME, push_end, show_live};
use crate::cmd::workflow_show::coloured;
use crate::cmd::{workflow_bulk, workflow_check, workflow_history, workflow_show};
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::report::Report;
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

/// Runs the subcommand: `check` with the handlers of this binary, the others through a running node.
pub async fn run(args: &Workflows, context: CommandContext<'_>) -> Result<(), Report> {
    match &args.step {
        WorkflowsStep::Ls { filter, before, limit, watch, target } => {
            let ask = json!({ "filter": filter.filter(), "before": before, "limit": limit });
            let client = Client::of_administrator(target, context)?;
            let draw = |page: WorkflowPage| list(&page, context.palette());
            show_live(&client, "forge.workflows", &ask, *watch, context, draw).await
        }
        WorkflowsStep::Show(run) => {
            let client = Client::of_administrator(&run.target, context)?;
            let answer = client.call("forge.workflow", &json!({ "id": run.id })).await?;
            let now = std::time::SystemTime::now().into();
            print(&answer, context, |detail: WorkflowDetail| {
                workflow_show::show(&detail, now, context.palette())
            })
        }
        WorkflowsStep::History(run) => workflow_history::run(run, context).await,
        WorkflowsStep::Signal { run, name, payload } => {
            let more = json!({ "name": name, "payload": payload });
            change(run, context, "forge.signalWorkflow", more).await
        }
        WorkflowsStep::Cancel(run) => change(run, context, "forge.cancelWorkflow", json!({})).await,
        WorkflowsStep::Terminate { run, reason } => {
            change(run, context, "forge.terminateWorkflow", json!({ "reason": reason })).await
        }
        WorkflowsStep::Pause(run) => change(run, context, "forge.pauseWorkflow", json!({})).await,
        WorkflowsStep::Resume(run) => change(run, context, "forge.resumeWorkflow", json!({})).await,
        WorkflowsStep::Retry { run, from_step } => {
            change(run, context, "forge.retryWorkflow", json!({ "fromStep": from_step })).await
        }
        WorkflowsStep::Skip { run, reason } => {
            change(run, context, "forge.skipCompensation", json!({ "reason": reason })).await
        }
        WorkflowsStep::Fork { run, from_step, to_version } => {
            let more = json!({ "fromStep": from_step, "version": to_version });
            change(run, context, "forge.forkWorkflow", more).await
        }
        WorkflowsStep::Bulk { action, yes, reason, filter, target } => {
            let bulk = workflow_bulk::Bulk {
                action: *action,
                filter: filter.filter(),
                reason: reason.as_deref(),
                yes: *yes,
            };
            workflow_bulk::run(&bulk, target, context).await
        }
        WorkflowsStep::Check { limit, database_url } => {
            workflow_check::run(database_url.as_deref(), *limit, context).await
        }
    }
}

/// Does something to one run, and prints the run and what was done.
async fn change(
    run: &OneRun,
    context: CommandContext<'_>,
    function: &str,
    mut args: Value,
) -> Result<(), Report> {
    args["id"] = json!(run.id);
    let answer = Client::of_administrator(&run.target, context)?.call(function, &args).await?;
    print(&answer, context, |change: WorkflowChange| {
        let mut text = list_runs(&[change.run], context.palette());
        text.push(change.message);
        text.push("\n");
        text
    })
}

const COLUMNS: [Column; 3] =
    [Column::Left("run"), Column::Left("status"), Column::Left("workflow (id), steps, started (UTC)")];

/// The runs, one a line, and where the list goes on.
fn list(page: &WorkflowPage, palette: Palette) -> Text {
    let mut text = match page.rows.is_empty() {
        true => "no runs\n".into(),
        false => list_runs(&page.rows, palette),
    };
    push_end(&mut text, page.searched_to, page.next, palette);
    text
}

fn list_runs(rows: &[WorkflowRow], palette: Palette) -> Text {
    let cells: Vec<_> = rows.iter().map(cells).collect();
    table::render_within(width::columns(), COLUMNS, &cells, palette, |index, line| {
        coloured(rows[index].status, line, palette)
    })
}

fn cells(row: &WorkflowRow) -> [String; COLUMNS.len()] {
    let key = row.key.as_ref().map(|key| format!(" ({key})")).unwrap_or_default();
    let steps = match row.steps {
        1 => "1 step".to_owned(),
        steps => format!("{steps} steps"),
    };
    let mut about =
        format!("{} v{}{key}, {steps}, {}", row.workflow, row.version, row.created_at.format(TIME));
    about.extend(row.node.as_ref().map(|node| format!("; on {node}")));
    about.extend(row.error.as_ref().map(|error| format!("; {}: {}", error.code, error.message)));
    [row.id.to_string(), row.status.as_str().to_owned(), about]
}
