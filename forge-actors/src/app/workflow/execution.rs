//! How a step is executed: its attempts, their time limits and pauses, and the rows of the journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::context::{CallScope, WorkflowContext};
use crate::app::error::Result;
use crate::app::job::RetryBackoff;
use crate::app::job_failure::JobFailure;
use crate::app::workflow::attempt::{Attempted, attempt_call, reserve_result, unwound};
use crate::app::workflow::wait::sleep_until;
use crate::app::workflow_run::branch::{Branch, StepPosition};
use crate::app::workflow_run::compensation::StepCall;
use crate::app::workflow_run::journal::{JournalEntry, StepIdentity, StepKind, StepStatus};
use crate::app::workflow_run::limits::{OUTAGE_MAX, RETRY_IN_MEMORY_MAX};
use crate::app::workflow_run::run::{ActiveRun, Found, entry_of};
use crate::app::workflow_run::store::{Recorded, StepConnection, StepRow};
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::{Timestamp, millis, minutes, secs};
use crate::test_signals::{Step as Signal, pause_point};

/// Between attempts that failed by an outage.
const OUTAGE_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(10));
/// Between the attempts of a step that names no other backoff.
const RETRY_BACKOFF: RetryBackoff = RetryBackoff::Exponential { base: secs(1), max: minutes(1) };

/// A step's work without its types.
pub struct StepWork<'a> {
    pub(super) kind: StepKind,
    pub(super) shape: u64,
    pub(super) input: Option<String>,
    pub(super) timeout: Duration,
    pub(super) attempt: AttemptWork<'a>,
}

impl StepWork<'_> {
    /// What an attempt holds while it executes.
    fn connection(&self) -> StepConnection {
        match &self.attempt {
            AttemptWork::Call(call) => call.connection,
            AttemptWork::Closure(_) => StepConnection::None,
        }
    }
}

/// How one attempt runs.
pub(super) enum AttemptWork<'a> {
    /// As a call of another handler.
    Call(StepCall),
    /// As a closure, which returns JSON.
    Closure(Box<dyn Fn(CallScope) -> BoxFuture<'a, Result<Bytes>> + Send + Sync + 'a>),
}

/// How often a step is attempted, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepPolicy {
    pub(super) attempts_max: u32,
    pub(super) backoff: RetryBackoff,
    pub(super) timeout: Option<Duration>,
}

impl StepPolicy {
    pub(super) const ONCE: Self = Self { attempts_max: 1, backoff: RETRY_BACKOFF, timeout: None };
}

/// A step that has ended.
pub(super) struct StepEnd {
    /// What it has returned; `None` when it was optional and has failed.
    pub(super) output: Option<String>,
    /// The order in which it ended.
    pub(super) number: u32,
}

/// How an entry of the journal ends its step.
pub(super) fn end_of(entry: JournalEntry) -> Result<StepEnd> {
    let number = entry.number.unwrap_or(0);
    match entry.status {
        StepStatus::Failed => {
            let failure = entry.error.map(Fault::from);
            Err(failure.unwrap_or_else(|| Fault::internal("the step has failed without a reason")))
        }
        StepStatus::Skipped => Ok(StepEnd { output: None, number }),
        _ => Ok(StepEnd { output: Some(entry.output.unwrap_or_else(|| "null".to_owned())), number }),
    }
}

/// A step that is being run.
pub(super) struct Execution<'s, 'a> {
    pub(super) ctx: &'s WorkflowContext,
    pub(super) run: &'s Arc<ActiveRun>,
    pub(super) place: &'s StepPosition,
    pub(super) name: &'s str,
    pub(super) policy: StepPolicy,
    pub(super) work: StepWork<'a>,
    pub(super) is_optional: bool,
}

impl Execution<'_, '_> {
    pub(super) async fn run(&self) -> Result<StepEnd> {
        let branch = &self.place.branch;
        let polled_in = Branch::current()?;
        let _running = match Arc::ptr_eq(&polled_in, branch) {
            true => {
                let (is_alone, running) = branch.enter();
                if !is_alone {
                    return Err(side_by_side(self.name));
                }
                Some(running)
            }
            false => None,
        };
        let wanted = StepIdentity { kind: self.work.kind, name: self.name, shape: self.work.shape };
        let open = match self.run.find(self.place, wanted) {
            Found::Ended(entry) => {
                polled_in.ended(entry.finished_at);
                return end_of(entry);
            }
            Found::Never => return self.run.never().await,
            Found::New => None,
            Found::Open(entry) => Some(entry),
        };
        let end = self.attempts(open).await;
        if let Ok((_, recorded)) = &end {
            polled_in.ended(recorded.finished_at);
        }
        end.map(|(end, _)| end)
    }

    /// Runs the step until it succeeds or has failed for good.
    async fn attempts(&self, open: Option<JournalEntry>) -> Result<(StepEnd, Recorded)> {
        if open.is_none() {
            self.run.check_bounds()?;
        }
        let mut failed = open.as_ref().map_or(0, |entry| entry.attempts);
        if let Some(due_at) = open.and_then(|entry| entry.due_at) {
            self.wait_until(due_at).await;
        }
        let mut outage_since: Option<(Instant, u32)> = None;
        loop {
            let executing = self.run.executing();
            let Some(permit) = self.run.permit(self.work.connection()).await else {
                drop(executing);
                return self.run.never().await;
            };
            pause_point(Signal::WorkflowStepStarting, self.name).await;
            let began = Instant::now();
            let row = self.row(failed + 1, began);
            let attempting = self.run.attempts.begin(&row);
            let attempted = self.attempt(&row).await;
            drop((permit, attempting));
            self.run.store.attempted(attempted.is_err());
            let fault = match attempted {
                Ok(Attempted::Recorded { output, number, recorded }) => {
                    return Ok((StepEnd { output: Some(output), number }, recorded));
                }
                Ok(Attempted::Returned(output)) => {
                    pause_point(Signal::WorkflowStepRan, self.name).await;
                    match self.complete(row, began, output).await {
                        Ok(ended) => return Ok(ended),
                        Err(fault) => fault.without_retry(),
                    }
                }
                Err(fault) => fault,
            };
            if fault.code().is_outage() {
                let (since, count) = outage_since.get_or_insert((began, 0));
                if since.elapsed() < OUTAGE_MAX {
                    let pause = OUTAGE_BACKOFF.jittered(*count);
                    *count += 1;
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            failed += 1;
            if failed >= self.policy.attempts_max || fault.forbids_retry() {
                return self.fail(failed, began, fault).await;
            }
            self.pause(failed, began, &fault).await?;
        }
    }

    /// One attempt, within its time limit.
    async fn attempt(&self, row: &StepRow) -> Result<Attempted> {
        let limit = self.policy.timeout.unwrap_or(self.work.timeout);
        let scope = self.ctx.scope.deeper()?;
        match &self.work.attempt {
            AttemptWork::Call(call) => attempt_call(call, self.run, &scope, row, limit).await,
            AttemptWork::Closure(closure) => {
                let running = unwound(closure(scope.until(Instant::now() + limit)));
                match tokio::time::timeout(limit, running).await {
                    Ok(ended) => {
                        let json = ended?;
                        Ok(Attempted::Returned(String::from_utf8(json.into()).map_err(Fault::internal)?))
                    }
                    Err(_) => {
                        let text = format!("the step `{}` took longer than {limit:?}", self.name);
                        Err(Fault::new(Code::Timeout, text))
                    }
                }
            }
        }
    }

    fn row(&self, attempts: u32, began: Instant) -> StepRow {
        StepRow {
            attempts,
            input: self.work.input.clone(),
            elapsed: began.elapsed(),
            ..StepRow::new(&self.place.position, self.work.kind, self.name, self.work.shape)
        }
    }

    async fn complete(
        &self,
        mut row: StepRow,
        began: Instant,
        output: String,
    ) -> Result<(StepEnd, Recorded)> {
        let reserved = reserve_result(self.run, output.len())?;
        let number = self.run.next_number();
        row.number = Some(number);
        row.elapsed = began.elapsed();
        row.output = Some(output.clone());
        let recorded = self.run.record(row).await?;
        drop(reserved);
        pause_point(Signal::WorkflowStepRecorded, self.name).await;
        Ok((StepEnd { output: Some(output), number }, recorded))
    }

    /// Records that the step has failed for good.
    async fn fail(&self, failed: u32, began: Instant, fault: Fault) -> Result<(StepEnd, Recorded)> {
        let number = self.run.next_number();
        let mut row = self.row(failed, began);
        row.status = if self.is_optional { StepStatus::Skipped } else { StepStatus::Failed };
        row.number = Some(number);
        row.elapsed = began.elapsed();
        row.error = Some(JobFailure::json_of(&fault)?);
        let recorded = self.run.record(row).await?;
        match self.is_optional {
            true => Ok((StepEnd { output: None, number }, recorded)),
            false => Err(fault),
        }
    }

    /// Records a failed attempt, and waits for the next one.
    async fn pause(&self, failed: u32, began: Instant, fault: &Fault) -> Result<()> {
        let pause = self.policy.backoff.delay(failed, fastrand::f64());
        let mut row = self.row(failed, began);
        row.status = StepStatus::Retrying;
        row.error = Some(JobFailure::json_of(fault)?);
        row.elapsed = began.elapsed();
        row.due_in = Some(pause);
        let entry = entry_of(&row);
        let recorded = self.run.store.record(row).await?;
        self.run.note(entry, 0, recorded);
        if pause <= RETRY_IN_MEMORY_MAX {
            tokio::time::sleep(pause).await;
        } else if let Some(due_at) = recorded.due_at {
            self.wait_until(due_at).await;
        }
        Ok(())
    }

    async fn wait_until(&self, due_at: Timestamp) {
        sleep_until(self.run, &self.place.position, due_at).await;
    }
}

fn side_by_side(name: &str) -> Fault {
    Fault::internal(format!(
        "the step `{name}` is awaited beside another one of the same branch, so their order is not certain; \
         run them with `ctx.parallel`, `ctx.race` or `ctx.join_all`"
    ))
    .without_retry()
}
