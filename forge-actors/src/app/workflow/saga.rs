//! Compensation: what completed steps have done is taken back, the last one first.

use std::sync::Arc;
use std::time::Instant;

use crate::app::context::CallScope;
use crate::app::error::Result;
use crate::app::job::RetryBackoff;
use crate::app::job_failure::JobFailure;
use crate::app::workflow::attempt::{Attempted, attempt_call};
use crate::app::workflow_run::compensation::{Compensation, CompensationCall};
use crate::app::workflow_run::journal::{JournalEntry, StepKind, StepStatus};
use crate::app::workflow_run::limits::{OUTAGE_MAX, RETRY_IN_MEMORY_MAX};
use crate::app::workflow_run::run::{ActiveRun, entry_of};
use crate::app::workflow_run::store::StepRow;
use crate::kernel::fault::Fault;
use crate::kernel::time::{Timestamp, minutes, secs};
use crate::test_signals::{Step as Signal, pause_point};

/// Attempts at one compensation; then a person decides.
const ATTEMPTS_MAX: u32 = 20;
/// Between attempts at a compensation.
const BACKOFF: RetryBackoff = RetryBackoff::Exponential { base: secs(1), max: minutes(5) };

/// How compensating has ended for now.
#[derive(Debug)]
pub enum CompensationEnd {
    /// Everything is taken back.
    Done,
    /// The next attempt comes at this time.
    Waits(Timestamp),
    /// One has failed for good: a person decides.
    Failed {
        /// The name of its step.
        name: String,
        /// Why.
        fault: Fault,
    },
}

/// Runs the compensations that are left.
///
/// # Errors
/// When the database refuses a row of the journal.
pub(crate) async fn compensate(run: &Arc<ActiveRun>, scope: &CallScope) -> Result<CompensationEnd> {
    for compensation in run.take_compensations() {
        match compensate_one(run, scope, &compensation).await? {
            CompensationEnd::Done => {}
            end => return Ok(end),
        }
    }
    Ok(CompensationEnd::Done)
}

async fn compensate_one(
    run: &Arc<ActiveRun>,
    scope: &CallScope,
    compensation: &Compensation,
) -> Result<CompensationEnd> {
    let open: Option<JournalEntry> = run.with_entry(&compensation.position);
    let mut failed = open.as_ref().map_or(0, |entry| entry.attempts);
    if let Some(due_at) = open.and_then(|entry| entry.due_at)
        && !run.time_until(due_at).is_zero()
    {
        return Ok(CompensationEnd::Waits(due_at));
    }
    let mut outage: Option<(Instant, u32)> = None;
    loop {
        pause_point(Signal::WorkflowCompensating, &compensation.name).await;
        let began = Instant::now();
        let row = row(compensation, failed + 1, began);
        let CompensationCall { call, timeout, .. } = &compensation.call;
        let permit = run.store.permit(call.connection).await;
        let attempting = run.attempts.begin(&row);
        let attempted = attempt_call(call, run, scope, &row, *timeout).await;
        drop((permit, attempting));
        run.store.attempted(attempted.is_err());
        let fault = match attempted {
            Ok(Attempted::Recorded { .. }) => return Ok(CompensationEnd::Done),
            Ok(Attempted::Returned(output)) => {
                let number = Some(run.next_number());
                run.record(StepRow { number, output: Some(output), elapsed: began.elapsed(), ..row }).await?;
                return Ok(CompensationEnd::Done);
            }
            Err(fault) => fault,
        };
        if fault.code().is_outage() {
            let (since, tries) = outage.get_or_insert((began, 0));
            if since.elapsed() < OUTAGE_MAX {
                *tries += 1;
                tokio::time::sleep(BACKOFF.delay(*tries, fastrand::f64()).min(secs(10))).await;
                continue;
            }
        }
        outage = None;
        failed += 1;
        let is_last = failed >= ATTEMPTS_MAX || fault.forbids_retry();
        let pause = BACKOFF.delay(failed, fastrand::f64());
        let row = StepRow {
            status: StepStatus::Retrying,
            error: Some(JobFailure::json_of(&fault)?),
            elapsed: began.elapsed(),
            due_in: (!is_last).then_some(pause),
            ..row
        };
        let entry = entry_of(&row);
        let recorded = run.store.record(row).await?;
        run.note(entry, 0, recorded);
        if is_last {
            return Ok(CompensationEnd::Failed { name: compensation.name.clone(), fault });
        }
        match recorded.due_at {
            Some(due_at) if pause > RETRY_IN_MEMORY_MAX => return Ok(CompensationEnd::Waits(due_at)),
            _ => tokio::time::sleep(pause).await,
        }
    }
}

fn row(compensation: &Compensation, attempts: u32, began: Instant) -> StepRow {
    StepRow {
        attempts,
        input: Some(String::from_utf8_lossy(&compensation.call.call.args).into_owned()),
        elapsed: began.elapsed(),
        ..StepRow::new(
            &compensation.position,
            StepKind::Compensation,
            &compensation.name,
            compensation.call.shape,
        )
    }
}
