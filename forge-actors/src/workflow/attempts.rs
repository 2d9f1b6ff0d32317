//! Shows the attempts at steps that are under way on this node: those that have been executing for a moment
//! are rows of `forge_workflow_attempts`. The journal does not have them, so no replay, fork or retry sees
//! them.
//!
//! - A shorter attempt is never written. The rows of all runs of the node are compared at each tick of its
//!   lease, and written by one statement when they have changed.
//! - The owner alone writes, under its lease. When the lease is lost its rows stay: they say what was cut
//!   off, until the run is claimed again.
//! - A row whose step has ended is not shown: the row of the journal takes precedence.

use std::collections::BTreeSet;
use std::time::Duration;

use super::rows::HeldAttempt;
use super::shared::WorkflowShared;
use crate::kernel::error_chain::error_chain;
use crate::kernel::ids::RunId;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::secs;

/// An attempt that has been executing for this long is shown.
const SHOWN_AFTER: Duration = secs(1);
/// Attempts of one node that are shown, the longest ones; others are not.
const SHOWN_MAX: usize = 1_000;

/// What tells attempts apart: run, claim, position and number.
type AttemptKey = (RunId, i32, String, u32);

/// The attempts that the table has.
#[derive(Default)]
struct WrittenAttempts {
    lease: i64,
    keys: BTreeSet<AttemptKey>,
}

/// Keeps the rows of this node's lease as they are to be. The lease keeper alone uses it, one tick at a time.
#[derive(Default)]
pub(super) struct ShownAttempts {
    /// `None` before the first write, and after one that has failed.
    written: MergeSlot<WrittenAttempts>,
}

impl ShownAttempts {
    /// Writes which attempts are under way, when others are than at the last tick.
    pub(super) async fn write(&self, shared: &WorkflowShared, lease: i64) {
        let attempts = under_way(shared);
        let keys: BTreeSet<AttemptKey> = attempts.iter().map(key).collect();
        let last = self.written.try_take().filter(|last| last.lease == lease);
        // Without a last write, or after one that has failed, it is not known what the table has.
        let is_same = last.is_some_and(|last| last.keys == keys);
        let is_written = is_same || write(shared, lease, &attempts).await;
        if is_written {
            self.written.put(|written| *written = Some(WrittenAttempts { lease, keys }));
        }
    }
}

fn key(attempt: &HeldAttempt) -> AttemptKey {
    let HeldAttempt { run, claim, step } = attempt;
    (*run, *claim, step.position.clone(), step.attempt)
}

/// The attempts that are to be shown.
fn under_way(shared: &WorkflowShared) -> Vec<HeldAttempt> {
    let mut attempts: Vec<HeldAttempt> = Vec::new();
    for entry in &shared.active {
        let (run, claim) = (*entry.key(), entry.claim);
        let steps = entry.run.attempts.under_way(SHOWN_AFTER).into_iter();
        attempts.extend(steps.map(|step| HeldAttempt { run, claim, step }));
    }
    if attempts.len() > SHOWN_MAX {
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.step.elapsed));
        attempts.truncate(SHOWN_MAX);
    }
    attempts
}

async fn write(shared: &WorkflowShared, lease: i64, attempts: &[HeldAttempt]) -> bool {
    match shared.store.write_attempts(lease, attempts).await {
        Ok(()) => true,
        Err(fault) => {
            let error = error_chain(&fault);
            tracing::debug!(error, "the attempts that are under way were not written; retrying");
            false
        }
    }
}
