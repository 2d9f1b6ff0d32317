//! Metrics of the workflow subsystem. Values of the label `workflow` are wire names of this binary's own
//! workflows.

use std::time::Duration;

use super::rows::ReleasedRun;

/// Counter: runs that this node has ended as completed, failed or cancelled, by `workflow` and `status`; not
/// those that were terminated or went on as new ones.
pub const WORKFLOW_RUNS_TOTAL: &str = "forge_workflow_runs_total";
/// Histogram, seconds: one execution of a run's function, after its journal was loaded, until it has ended or
/// only waits; without compensation. By `workflow`.
pub const WORKFLOW_ACTIVATION_SECONDS: &str = "forge_workflow_activation_seconds";
/// Counter: runs that were parked because the code did not fit their journal, by `workflow`.
pub const WORKFLOWS_DIVERGED_TOTAL: &str = "forge_workflows_diverged_total";
/// Counter: compensations that have failed after all attempts, by `workflow`.
pub const WORKFLOW_COMPENSATIONS_FAILED_TOTAL: &str = "forge_workflow_compensations_failed_total";

/// Counter: runs that this node has paused, because their activations ended without progress again and again.
pub const WORKFLOWS_CRASHED_TOTAL: &str = "forge_workflows_crashed_total";

pub(super) fn ended(workflow: &str, status: &'static str) {
    metrics::counter!(WORKFLOW_RUNS_TOTAL, "workflow" => workflow.to_owned(), "status" => status)
        .increment(1);
}

pub(super) fn activation_ended(workflow: &str, took: Duration) {
    metrics::histogram!(WORKFLOW_ACTIVATION_SECONDS, "workflow" => workflow.to_owned()).record(took);
}

pub(super) fn diverged(workflow: &str) {
    metrics::counter!(WORKFLOWS_DIVERGED_TOTAL, "workflow" => workflow.to_owned()).increment(1);
}

pub(super) fn compensation_failed(workflow: &str) {
    metrics::counter!(WORKFLOW_COMPENSATIONS_FAILED_TOTAL, "workflow" => workflow.to_owned()).increment(1);
}

/// Reports those of the released runs whose activations have ended without progress again.
pub(super) fn released(runs: &[ReleasedRun]) {
    for ReleasedRun { id, workflow, crashes, is_paused } in runs.iter().filter(|run| run.crashes > 1) {
        let (run, handler) = (id, workflow);
        if *is_paused {
            metrics::counter!(WORKFLOWS_CRASHED_TOTAL).increment(1);
            tracing::error!(%run, handler, crashes, "a run was paused: its activations end without progress");
        } else {
            tracing::warn!(%run, handler, crashes, "an activation of a run has ended without progress again");
        }
    }
}
