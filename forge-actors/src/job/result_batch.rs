//! Writes the results of a batch of jobs, also when the database refuses some of them.
//!
//! ```text
//!   result ──refused──▶ its error text in ASCII ──refused──▶ `failed`, with the refusal as the reason
//!                                                               └──refused──▶ nothing is written
//! ```
//!
//! A refused result never holds up the others, and no job vanishes with it. A job about which nothing can be
//! written stays in `forge_jobs`: its lease runs out, and the rescuer has it run again or makes it a dead
//! letter.

use std::collections::{HashMap, HashSet};

use super::messages::ReleasedJob;
use super::signals;
use super::state::{Rewrite, Transition};
use super::store::{JobResult, JobStore};
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;

/// What was written about the jobs of a batch.
pub(super) struct WrittenBatch {
    /// The jobs whose claim still held.
    pub(super) accepted: HashSet<JobId>,
    /// What was written in the place of results that the database refused.
    replaced: HashMap<JobId, Transition>,
    /// The jobs about which nothing can be written.
    unwritable: HashMap<JobId, Fault>,
}

impl WrittenBatch {
    /// What was written about a job, if its claim still held; `None` when nothing can be written about it.
    pub(super) fn transition<'a>(&'a self, released: &'a ReleasedJob) -> Option<&'a Transition> {
        let id = released.job.record.id;
        let written = || self.replaced.get(&id).unwrap_or(&released.transition);
        (!self.unwritable.contains_key(&id)).then(written)
    }
}

/// Writes the results of a batch.
///
/// # Errors
/// When the database does not answer: the batch is to be written again.
pub(super) async fn write_batch(store: &JobStore, batch: &[ReleasedJob]) -> Result<WrittenBatch, Fault> {
    let results: Vec<JobResult<'_>> =
        batch.iter().map(|released| (&*released.job.record, &released.transition)).collect();
    let written = store.write_results(&results).await?;
    let (mut accepted, mut refused) = (written.accepted, written.refused);
    let mut replaced = HashMap::new();
    for rewrite in Rewrite::ALL {
        if refused.is_empty() {
            break;
        }
        for released in batch {
            let record = &released.job.record;
            if let Some(refusal) = refused.get(&record.id) {
                replaced.insert(record.id, released.transition.rewritten(rewrite, refusal));
            }
        }
        let again = batch.iter().filter(|released| refused.contains_key(&released.job.record.id));
        let results: Vec<JobResult<'_>> =
            again.map(|released| (&*released.job.record, &replaced[&released.job.record.id])).collect();
        let written = store.write_results(&results).await?;
        accepted.extend(written.accepted);
        refused = written.refused;
    }
    let batch_written = WrittenBatch { accepted, replaced, unwritable: refused };
    batch.iter().for_each(|released| batch_written.log_refusal(released));
    Ok(batch_written)
}

impl WrittenBatch {
    fn log_refusal(&self, ReleasedJob { job, transition }: &ReleasedJob) {
        let record = &job.record;
        let was = transition.status.as_str();
        if let Some(refusal) = self.unwritable.get(&record.id) {
            signals::set_aside();
            tracing::error!(
                job = %record.id,
                handler = %record.name,
                was,
                error = error_chain(refusal),
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
