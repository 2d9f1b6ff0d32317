//! `workflows`: lists and shows runs through a running node, and does something about them.

use forge_actors::dashboard::workflow_commands::WorkflowChange;
use forge_actors::workflow::admin::{WorkflowDetail, WorkflowPage};
use serde_json::{Value, json};

use crate::cli::{OneRun, Workflows, WorkflowsStep};
use crate::cmd::client::{Client, print};
use crate::cmd::live_list::show_live;
use crate::cmd::run_name::id_of;
use crate::cmd::workflow_list::{list, list_runs};
use crate::cmd::{
    workflow_bulk, workflow_check, workflow_history, workflow_show, workflow_start, workflow_wait,
};
use crate::terminal::context::CommandContext;
use crate::terminal::report::Report;

/// Runs the subcommand: `check` with the handlers of this binary, the others through a running node.
pub async fn run(args: &Workflows, context: CommandContext<'_>) -> Result<(), Report> {
    match &args.step {
        WorkflowsStep::Ls { filter, before, limit, watch, target } => {
            let ask = json!({ "filter": filter.filter(), "before": before, "limit": limit });
            let client = Client::of_administrator(target, context)?;
            let draw = |page: WorkflowPage| list(&page, context.palette());
            show_live(&client, "forge.workflows", &ask, *watch, context, draw).await
        }
        WorkflowsStep::Start(flags) => workflow_start::start(flags, context).await,
        WorkflowsStep::Emit(flags) => workflow_start::emit(flags, context).await,
        WorkflowsStep::Show { run, wait } => {
            let client = Client::of_administrator(&run.target, context)?;
            let id = id_of(&client, &run.run).await?;
            if wait.wait {
                return workflow_wait::show_end(&client, id, *wait, context).await;
            }
            let answer = client.call("forge.workflow", &json!({ "id": id })).await?;
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
        WorkflowsStep::Cancel { run, reason } => {
            change(run, context, "forge.cancelWorkflow", json!({ "reason": reason })).await
        }
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
    let client = Client::of_administrator(&run.target, context)?;
    args["id"] = json!(id_of(&client, &run.run).await?);
    let answer = client.call(function, &args).await?;
    print(&answer, context, |change: WorkflowChange| {
        let mut text = list_runs(&[change.run], context.palette());
        text.push(change.message);
        text.push("\n");
        text
    })
}
