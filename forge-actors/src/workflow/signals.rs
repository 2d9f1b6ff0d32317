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
pub const WORKFLOW_RUNS_PAUSED_TOTAL: &str = "forge_workflow_runs_paused_total";
/// Histogram, seconds: from the moment at which a run became due (it was started, woken, its time came, its
/// node was lost) to its claim, by `workflow`; where a node executes a run with its start, to that
/// start.
pub const WORKFLOW_CLAIM_DELAY_SECONDS: &str = "forge_workflow_claim_delay_seconds";
/// Counter: attempts at steps and compensations that have ended on this node, by `workflow` and `outcome`:
/// `completed`, `failed`.
pub const WORKFLOW_STEP_ATTEMPTS_TOTAL: &str = "forge_workflow_step_attempts_total";
/// Gauge: runs that are active on this node: claimed by it, or started by it and executed at once.
pub const WORKFLOW_ACTIVATIONS: &str = "forge_workflow_activations";
/// Gauge: runs that have not ended, by `status`: `ready`, `running`, `waiting`, `paused`, `diverged`,
/// `compensation_failed`. The last three are parked. Counted each 15 seconds by the leader of `workflows`, 0
/// on other nodes; the first three are those of the newest 100,000 runs, the others 100,000 at most.
pub const WORKFLOW_RUNS_UNFINISHED: &str = "forge_workflow_runs_unfinished";

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
            metrics::counter!(WORKFLOW_RUNS_PAUSED_TOTAL).increment(1);
            tracing::error!(%run, handler, crashes, "a run was paused: its activations end without progress");
        } else {
            tracing::warn!(%run, handler, crashes, "an activation of a run has ended without progress again");
        }
    }
}

pub(super) fn claimed(workflow: &str, delay: Duration) {
    metrics::histogram!(WORKFLOW_CLAIM_DELAY_SECONDS, "workflow" => workflow.to_owned()).record(delay);
}

pub(super) fn attempted(workflow: &str, has_failed: bool) {
    let outcome = if has_failed { "failed" } else { "completed" };
    metrics::counter!(WORKFLOW_STEP_ATTEMPTS_TOTAL, "workflow" => workflow.to_owned(), "outcome" => outcome)
        .increment(1);
}

pub(super) fn active(activations: usize) {
    metrics::gauge!(WORKFLOW_ACTIVATIONS).set(activations as f64);
}

pub(super) fn unfinished(status: &'static str, runs: i64) {
    metrics::gauge!(WORKFLOW_RUNS_UNFINISHED, "status" => status).set(runs as f64);
}
