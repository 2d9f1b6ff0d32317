//! `forge.workflowStatus` and `forge.cancelMyWorkflow`: a run of a workflow as its starter sees it.
//! `useWorkflow(handle)` and `forge.workflow(handle)` of the clients call them.
//!
//! Anyone may call them: they answer for the runs that the caller has started with a handle, and for every
//! such run when the caller is an administrator. A run that was started without a token may be seen by
//! everyone who knows its id. For all others there is no such run.

use crate::app::follower::Viewer;
use crate::app::{MutationContext, QueryContext, Result};
use crate::dashboard::workflow_commands::wake;
use crate::kernel::ids::RunId;
use crate::workflow::admin::{RunChange, WorkflowAction};
use crate::workflow::follow::{self, FollowedWorkflow};

/// How far a run is that the caller has started with a handle. A live query of it follows the run.
#[forge_app_macros::query(name = "forge.workflowStatus", public)]
pub async fn follow_workflow(ctx: &QueryContext, id: RunId) -> Result<FollowedWorkflow> {
    follow::find(ctx.db(), id, &Viewer::of(ctx)).await
}

/// Asks a run that the caller has started with a handle to take back what it has completed, and to end. One
/// that is compensated already, or has ended, is not changed.
#[forge_app_macros::mutation(name = "forge.cancelMyWorkflow", public)]
pub async fn cancel_my_workflow(ctx: &MutationContext, id: RunId) -> Result<FollowedWorkflow> {
    let who = ctx.auth().identity().map_or("its starter", |identity| identity.subject.as_str());
    let retention = ctx.run_retention();
    let change = RunChange { action: WorkflowAction::Cancel, who, reason: None, retention };
    let (run, changed) = follow::cancel(ctx.db(), id, &Viewer::of(ctx), change).await?;
    wake(ctx, &changed);
    Ok(run)
}
