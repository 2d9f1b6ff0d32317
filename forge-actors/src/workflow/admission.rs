//! How much a node executes at the same time: runs that are active, and attempts at their steps.
//!
//! | | active runs | attempts |
//! |---|---|---|
//! | of the node | `workflows.active_max` | `workflows.steps_max` |
//! | of one workflow | `workflows.workflow_share` of it | the same share |
//! | of one run | | half of its workflow's |
//! | that are transactions: mutations, starts, dispatches | | half of `database.write_connections_max` |
//! | that are queries | | half of `database.read_connections_max` |
//!
//! The only workflow of a binary may take all of the node's limits. A run beyond the limit of active runs,
//! new or woken, is not claimed yet. An attempt beyond a limit waits in memory: first for the limit of its
//! run, then of its workflow, of that one's share of the connections, of the node and of the connections,
//! each in order of arrival. So neither a run with a thousand branches nor a workflow whose steps hang holds
//! up the others, and calls of clients keep half of the connections.
//!
//! Invariants: permits are taken in that order alone, so no two attempts wait for each other; an attempt
//! gives its permits back before its result is recorded, unless its transaction records it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::WorkflowConfig;
use crate::app::workflow_run::store::{StepConnection, StepPermit};
use crate::db::config::DatabaseConfig;

/// A run is executed with its start while at most `runs_max / UNCLAIMED_DIVISOR` runs are active, itself
/// included.
const UNCLAIMED_DIVISOR: usize = 4;

/// The limits of a node, and how much of each is taken.
pub(super) struct WorkflowAdmission {
    /// Runs that are active or begin to be.
    runs: AtomicUsize,
    runs_max: usize,
    /// The part of `runs_max` that one workflow may take.
    workflow_runs_max: usize,
    /// The most runs that the claim which is under way may return; 0 while none is.
    claiming: AtomicUsize,
    attempts: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    workflows: HashMap<String, WorkflowShare>,
    run_attempts_max: usize,
}

/// What one workflow has taken.
struct WorkflowShare {
    runs: AtomicUsize,
    attempts: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl WorkflowAdmission {
    /// Of a node whose binary has code for these workflows.
    pub(super) fn new<'a>(
        config: &WorkflowConfig,
        database: &DatabaseConfig,
        workflows: impl Iterator<Item = &'a str>,
    ) -> Self {
        let (runs_max, attempts_max) = (config.active_max as usize, config.steps_max as usize);
        let names: HashSet<&str> = workflows.collect();
        let share = if names.len() > 1 { config.workflow_share } else { 1.0 };
        let workflow_attempts_max = share_of(attempts_max, share);
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        let writes_max = half_of(database.write_connections_max);
        let reads_max = half_of(database.read_connections_max);
        let workflow = |name: &str| {
            let taken = WorkflowShare {
                runs: AtomicUsize::new(0),
                attempts: semaphore(workflow_attempts_max),
                writes: semaphore(share_of(writes_max, share)),
                reads: semaphore(share_of(reads_max, share)),
            };
            (name.to_owned(), taken)
        };
        let workflows = names.into_iter().map(workflow).collect();
        Self {
            runs: AtomicUsize::new(0),
            runs_max,
            claiming: AtomicUsize::new(0),
            workflow_runs_max: share_of(runs_max, share),
            attempts: semaphore(attempts_max),
            writes: semaphore(writes_max),
            reads: semaphore(reads_max),
            workflows,
            run_attempts_max: half_of(workflow_attempts_max),
        }
    }

    /// How many runs may become active.
    pub(super) fn free_runs(&self) -> usize {
        self.runs_max.saturating_sub(self.active())
    }

    /// How many runs of this workflow may become active, as far as its own share goes.
    pub(super) fn free_runs_of(&self, workflow: &str) -> usize {
        let taken = self.workflows.get(workflow).map_or(0, |of| of.runs.load(Ordering::SeqCst));
        self.workflow_runs_max.saturating_sub(taken)
    }

    /// Runs that are active or begin to be.
    pub(super) fn active(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Whether no run is active or begins to be, and no claim is under way.
    pub(super) fn is_unused(&self) -> bool {
        self.active() == 0 && self.claiming.load(Ordering::SeqCst) == 0
    }

    /// A claim of at most so many runs is under way; 0 for none. Set before the free places are counted
    /// and the lease is read.
    pub(super) fn claiming(&self, most: usize) {
        self.claiming.store(most, Ordering::SeqCst);
    }

    /// Whether a run of this workflow that has just entered may stay, besides whatever a claim brings. A node
    /// takes runs without a claim up to a quarter of its places.
    pub(super) fn fits_beside_claim(&self, workflow: &str) -> bool {
        let (active, claiming) = (self.runs.load(Ordering::SeqCst), self.claiming.load(Ordering::SeqCst));
        let of_workflow = self.workflows.get(workflow).map_or(0, |of| of.runs.load(Ordering::SeqCst));
        active <= (self.runs_max / UNCLAIMED_DIVISOR).max(1)
            && active + claiming <= self.runs_max
            && of_workflow + claiming <= self.workflow_runs_max
    }

    /// A run becomes active.
    pub(super) fn enter(&self, workflow: &str) {
        self.runs.fetch_add(1, Ordering::SeqCst);
        if let Some(of) = self.workflows.get(workflow) {
            of.runs.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A run is active no more. True when others may have waited for its place.
    pub(super) fn leave(&self, workflow: &str) -> bool {
        let of = self.workflows.get(workflow).map_or(0, |of| of.runs.fetch_sub(1, Ordering::AcqRel));
        let all = self.runs.fetch_sub(1, Ordering::AcqRel);
        all >= self.runs_max || of >= self.workflow_runs_max
    }

    /// The attempts that one run may make at the same time.
    pub(super) fn of_run(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(self.run_attempts_max))
    }

    /// Waits until an attempt at a step of a run of this workflow may execute. `of_run` is what the run got
    /// from [`of_run`](Self::of_run).
    pub(super) async fn attempt(
        &self,
        workflow: &str,
        of_run: &Arc<Semaphore>,
        connection: StepConnection,
    ) -> StepPermit {
        let of_workflow = self.workflows.get(workflow);
        let (of_its_connections, of_connections) = match connection {
            StepConnection::Write => (of_workflow.map(|of| &of.writes), Some(&self.writes)),
            StepConnection::Read => (of_workflow.map(|of| &of.reads), Some(&self.reads)),
            StepConnection::None => (None, None),
        };
        StepPermit::of([
            permit(Some(of_run)).await,
            permit(of_workflow.map(|of| &of.attempts)).await,
            permit(of_its_connections).await,
            permit(Some(&self.attempts)).await,
            permit(of_connections).await,
        ])
    }
}

/// The semaphores are never closed.
async fn permit(semaphore: Option<&Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore?).acquire_owned().await.ok()
}

fn share_of(max: usize, share: f64) -> usize {
    ((max as f64 * share).floor() as usize).max(1)
}

fn half_of(max: usize) -> usize {
    (max / 2).max(1)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn admission() -> WorkflowAdmission {
        let config = WorkflowConfig { active_max: 4, steps_max: 8, ..WorkflowConfig::default() };
        let database = DatabaseConfig { write_connections_max: 4, ..DatabaseConfig::default() };
        WorkflowAdmission::new(&config, &database, ["a", "b"].into_iter())
    }

    #[test]
    fn a_workflow_has_at_most_its_share_of_the_active_runs() {
        let admission = admission();
        admission.enter("a");
        assert_eq!(
            (admission.free_runs(), admission.free_runs_of("a"), admission.free_runs_of("b")),
            (3, 1, 2)
        );
        admission.enter("a");
        assert_eq!(
            (admission.free_runs(), admission.free_runs_of("a"), admission.free_runs_of("b")),
            (2, 0, 2)
        );
        assert!(admission.leave("a"), "another run of the workflow may have waited");
        assert!(!admission.leave("a"));
        assert_eq!(admission.active(), 0);
        assert!(admission.is_unused());
        admission.claiming(2);
        assert!(!admission.is_unused(), "a claim may bring runs");
    }

    #[tokio::test]
    async fn a_run_and_a_workflow_leave_attempts_to_others() {
        let admission = admission();
        let (one, other) = (admission.of_run(), admission.of_run());
        let attempt = |workflow, run| admission.attempt(workflow, run, StepConnection::None);
        let _held = [attempt("a", &one).await, attempt("a", &one).await];
        assert!(attempt("a", &one).now_or_never().is_none(), "a run has half of its workflow's");
        let of_other = [attempt("a", &other).await, attempt("a", &other).await];
        let third = admission.of_run();
        assert!(attempt("a", &third).now_or_never().is_none(), "a workflow has its share");
        assert!(attempt("b", &third).now_or_never().is_some());
        drop(of_other);
        assert!(attempt("a", &third).now_or_never().is_some());
    }

    #[tokio::test]
    async fn attempts_leave_connections_to_calls_and_to_other_workflows() {
        let admission = admission();
        let run = || admission.of_run();
        let (one, two, three) = (run(), run(), run());
        let held = admission.attempt("a", &one, StepConnection::Write).await;
        assert!(admission.attempt("a", &two, StepConnection::Write).now_or_never().is_none());
        assert!(admission.attempt("a", &two, StepConnection::Read).now_or_never().is_some());
        let _other = admission.attempt("b", &two, StepConnection::Write).await;
        drop(held);
        let _held = admission.attempt("a", &one, StepConnection::Write).await;
        assert!(
            admission.attempt("b", &three, StepConnection::Write).now_or_never().is_none(),
            "half of four"
        );
    }
}
