//! The workflows of a test.

use std::time::Duration;

use forge_actors::app::{CallError, Handler, Workflow};
use forge_actors::kernel::fault::{Code, Fault};
use forge_actors::kernel::ids::RunId;
use forge_actors::kernel::time::secs;
use forge_actors::workflow::history::{HistoryError, ReplayedHistory, WorkflowHistory, replay_history};

use super::node::TestNode;

/// Runs that are executed for longer are probably stuck.
const SETTLE_LIMIT: Duration = secs(30);

/// Waits until all runs wait, are parked or have ended.
pub(super) async fn settle(node: &TestNode) -> Result<(), Fault> {
    if let Ok(settled) = tokio::time::timeout(SETTLE_LIMIT, node.workflows.settle()).await {
        return settled;
    }
    let still = node.workflows.unsettled().await?.join("; ");
    let text = format!("runs of workflows are still executed after {SETTLE_LIMIT:?}: {still}");
    Err(Fault::new(Code::Timeout, text))
}

/// Replays a recorded history.
pub(super) async fn replay(node: &TestNode, history: &str) -> Result<ReplayedHistory, HistoryError> {
    replay_history(&node.functions, &WorkflowHistory::parse(history)?).await
}

/// How a run has ended.
pub(super) async fn outcome<H: Handler<Kind = Workflow>>(
    node: &TestNode,
    run: RunId,
) -> Result<H::Output, CallError<H::Error>> {
    match node.workflows.end_of::<H>(run).await {
        Ok(Some(end)) => end,
        Ok(None) => {
            let text = format!("the run {run} of `{}` has not ended", H::META.wire_name());
            Err(CallError::Fault(Fault::new(Code::NotFound, text)))
        }
        Err(fault) => Err(CallError::Fault(fault)),
    }
}
