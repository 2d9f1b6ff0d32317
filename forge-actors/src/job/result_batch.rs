//! Writes the results of a batch of jobs, also when the database refuses some of them.
//!
//! ```text
//!   result ──refused──▶ its error text in ASCII ──refused──▶ `failed`, with the refusal as the reason
//!                                                               │
//!                                                            refused
//!                                                               ▼
//!           the reason alone, as the job's last error ◀──refused── waits in its queue, for the same reason
//! ```
//!
//! A refused result never holds up the others, and no job vanishes with it: one that cannot end waits, longer
//! each time, until an operator has removed the cause. A job whose status cannot be changed stays
//! `running`: its lease runs out after that wait, and the rescuer has it run again or makes it a dead letter.
//! In both cases `jobs show` has the reason.

use std::collections::{HashMap, HashSet};

use super::messages::ReleasedJob;
use super::signals;
use super::state::{Rewrite, Transition};
use super::store::{JobResult, JobStore};
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, LeaseId};

/// What was written about the jobs of a batch.
pub(super) struct WrittenBatch {
    /// The jobs whose claim still held.
    pub(super) accepted: HashSet<JobId>,
    /// What was written in the place of results that the database refused.
    replaced: HashMap<JobId, Transition>,
    /// The jobs whose status cannot be changed.
    unwritable: HashMap<JobId, Fault>,
    /// Those of them whose last error is the reason now.
    explained: HashSet<JobId>,
    /// The batch leases that had ended were deleted.
    pub(super) has_deleted_ended: bool,
}

impl WrittenBatch {
    /// What was written about a job, if its claim still held; `None` when its status cannot be changed.
    pub(super) fn transition<'a>(&'a self, released: &'a ReleasedJob) -> Option<&'a Transition> {
        let id = released.job.record.id;
        let written = || self.replaced.get(&id).unwrap_or(&released.transition);
        (!self.unwritable.contains_key(&id)).then(written)
    }
}

/// Writes the results of a batch, and deletes the batch leases `ended`, which hold no job, if that needs no
/// statement of its own.
///
/// # Errors
/// When the database does not answer: the batch is to be written again.
pub(super) async fn write_batch(
    store: &JobStore,
    batch: &[ReleasedJob],
    ended: &[LeaseId],
) -> Result<WrittenBatch, Fault> {
    let results: Vec<JobResult<'_>> =
        batch.iter().map(|released| (&*released.job.record, &released.transition)).collect();
    let (written, has_deleted_ended) = store.write_results(&results, ended).await?;
    let (mut accepted, mut refused) = (written.accepted, written.refused);
    let mut replaced = HashMap::new();
    for rewrite in Rewrite::ALL {
        if refused.is_empty() {
            break;
        }
        for released in batch {
            let record = &released.job.record;
            if let Some(refusal) = refused.get(&record.id) {
                let claim = record.claim.unsigned_abs();
                replaced.insert(record.id, released.transition.rewritten(rewrite, refusal, claim));
            }
        }
        let (written, _) = store.write_results(&replacements(batch, &replaced, &refused), &[]).await?;
        accepted.extend(written.accepted);
        refused = written.refused;
    }
    let explained = store.explain(&replacements(batch, &replaced, &refused)).await?;
    let batch_written =
        WrittenBatch { accepted, replaced, unwritable: refused, explained, has_deleted_ended };
    batch.iter().for_each(|released| batch_written.log_refusal(released));
    Ok(batch_written)
}

/// What is to be written in the place of the results that were `refused`.
fn replacements<'a>(
    batch: &'a [ReleasedJob],
    replaced: &'a HashMap<JobId, Transition>,
    refused: &HashMap<JobId, Fault>,
) -> Vec<JobResult<'a>> {
    let records = batch.iter().map(|released| &*released.job.record);
    let of_refused = records.filter(|record| refused.contains_key(&record.id));
    of_refused.map(|record| (record, &replaced[&record.id])).collect()
}

impl WrittenBatch {
    fn log_refusal(&self, ReleasedJob { job, transition, .. }: &ReleasedJob) {
        let record = &job.record;
        let was = transition.status.as_str();
        if let Some(refusal) = self.unwritable.get(&record.id) {
            signals::set_aside();
            tracing::error!(
                job = %record.id,
                handler = %record.name,
                was,
                error = error_chain(refusal),
                shown_in_jobs = self.explained.contains(&record.id),
                "result refused by the database; the job is run again when its lease has expired"
            );
        } else if let Some(replaced) = self.replaced.get(&record.id) {
            signals::set_aside();
            tracing::error!(
                job = %record.id,
                handler = %record.name,
                was,
                status = replaced.status.as_str(),
                error = replaced.error,
                "result refused by the database; another one was written"
            );
        }
    }
}
