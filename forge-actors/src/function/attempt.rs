//! One attempt at a job, or at a run of a cron, which is a job whose arguments say what it runs for. The
//! handler runs as an action does; its result is classified finely enough to decide what becomes of the job.
//!
//! A worker that stops ends its attempt. Calls that the handler makes run to their end, as those of actions
//! do.
//!
//! An attempt runs in a task on the threads of handlers, and its handler in the same task: short jobs are
//! many.
//!
//! An attempt lasts until its handler is dropped: a handler that blocks its thread is late, but nobody runs
//! its job a second time meanwhile. What is `held` for the attempt, the job's lease, lives as long as the
//! handler does, also when the worker is killed before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::Instrument;

use super::admission::Permit;
use super::call::{ActiveCall, CallFailure};
use super::shared::FunctionShared;
use super::signals::CallOutcome;
use crate::app::child_list::ChildList;
use crate::app::cron::CronRun;
use crate::app::decoded::Decoded;
use crate::app::job::RunningAttempt;
use crate::app::job_result::kept;
use crate::app::{Attempt, CronResources, JobResources, KindName};
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::time::fractional_millis;
use crate::subsystem::ActorPath;
use crate::supervise::catch_unwind;

/// How an attempt at a job ended.
#[derive(Debug)]
pub enum AttemptResult {
    /// The handler returned `Ok`, with this value as JSON, unless that is `null`.
    Succeeded(Option<Bytes>),
    /// The job is suspended: it waits for others, and is written as such.
    Suspended,
    /// The handler asked to be run again after this delay.
    Snoozed(Duration),
    /// The arguments do not fit the handler: another attempt of this binary would not help. The job's status
    /// becomes `failed`, unless a node of another build may read the arguments.
    InvalidArguments(Fault),
    /// The handler failed in a way that no further attempt could mend: its result is too large. The job's
    /// status becomes `failed`.
    Unrepeatable(Fault),
    /// The handler failed, panicked, took too long or could not be called: the job's status becomes `retry`,
    /// or `dead_letter` after the last attempt.
    HandlerError(Fault),
    /// The handler was not started (its node stops, or no thread was free within its time limit), or was
    /// stopped because the node stops; a begun attempt does not count.
    Interrupted,
}

impl AttemptResult {
    /// Why the attempt has failed, for the log.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::InvalidArguments(fault) | Self::Unrepeatable(fault) | Self::HandlerError(fault) => {
                Some(error_chain(fault))
            }
            Self::Succeeded(_) | Self::Suspended | Self::Snoozed(_) | Self::Interrupted => None,
        }
    }

    /// The name of the result in the log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Suspended => "suspended",
            Self::Snoozed(_) => "snoozed",
            Self::InvalidArguments(_) => "invalid_arguments",
            Self::Unrepeatable(_) => "unrepeatable",
            Self::HandlerError(_) => "handler_error",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Runs the handler of a job once.
pub(super) async fn run(
    shared: &Arc<FunctionShared>,
    runner: &'static ActorPath,
    mut invocation: Invocation,
    attempt: Arc<dyn RunningAttempt>,
    held: impl Send + 'static,
    interrupted: impl Future<Output = ()>,
) -> AttemptResult {
    let Some(registration) = shared.find(&invocation.name).filter(|found| found.meta.job_meta().is_some())
    else {
        return AttemptResult::HandlerError(Fault::new(Code::NotFound, "this binary has no such job"));
    };
    let mut cron = None;
    if registration.meta.kind() == KindName::Cron {
        match CronRun::split(&invocation.args) {
            Ok((run, args)) => {
                invocation.args = args;
                cron = Some(run);
            }
            Err(fault) => return AttemptResult::InvalidArguments(fault),
        }
    }
    let Attempt { job, number, .. } = attempt.attempt();
    let span = tracing::info_span!(
        "job",
        handler = %invocation.name,
        trace_id = %invocation.trace.trace_id_hex(),
        job = %job,
        attempt = number,
    );
    let mut call = ActiveCall::new(shared, registration, runner, invocation, 0, Permit::unlimited());
    if let Some(limit) = attempt.time_limit() {
        call.time_limit = limit;
    }
    let resources = JobResources {
        db: call.writer(),
        attempt,
        children: ChildList::default(),
        result_of_effect: registration.result_of_effect,
    };
    let began = Instant::now();
    let ended = async {
        let result = run_and_classify(call, cron, resources, held, interrupted).await;
        tracing::debug!(result = result.as_str(), ms = fractional_millis(began.elapsed()), "attempt ended");
        result
    };
    ended.instrument(span).await
}

async fn run_and_classify(
    call: ActiveCall,
    cron: Option<CronRun>,
    job: JobResources,
    held: impl Send + 'static,
    interrupted: impl Future<Output = ()>,
) -> AttemptResult {
    let mut recorder = call.recorder();
    let message = match catch_unwind(async { call.decode() }).await {
        Ok(Ok(message)) => message,
        Ok(Err(fault)) => {
            recorder.outcome = CallOutcome::Fault;
            return AttemptResult::InvalidArguments(fault);
        }
        Err(panic) => {
            let (outcome, fault) = call.fault_of(CallFailure::Panic(panic));
            recorder.outcome = outcome;
            return AttemptResult::HandlerError(fault);
        }
    };
    let running = match (message, cron) {
        (Decoded::Job(message), _) => message.run(call.scope(), job),
        (Decoded::Cron(message), Some(run)) => match call.begin_cron_run(&run).await {
            Ok(began_at) => message.run(call.scope(), CronResources { job, run, began_at }),
            Err(fault) => return AttemptResult::HandlerError(fault),
        },
        (
            Decoded::Query(_)
            | Decoded::Mutation(_)
            | Decoded::Action(_)
            | Decoded::Cron(_)
            | Decoded::Workflow(_),
            _,
        ) => return AttemptResult::HandlerError(Fault::internal("the handler is not a job")),
    };
    let running = async move {
        let _held = held;
        running.await
    };
    let failure = match call.run_here(Box::pin(running), interrupted).await {
        Ok(result) => {
            recorder.outcome = CallOutcome::Ok;
            return AttemptResult::Succeeded(kept(result));
        }
        // The recorder counts the call as cancelled, which is its initial outcome.
        Err(CallFailure::Drain | CallFailure::NoThread) => return AttemptResult::Interrupted,
        Err(failure) => failure,
    };
    if let CallFailure::Fault(fault) = &failure
        && let Some(delay) = fault.snooze_delay()
    {
        recorder.outcome = CallOutcome::Ok;
        return AttemptResult::Snoozed(delay);
    }
    if matches!(&failure, CallFailure::Fault(fault) if fault.is_suspension()) {
        recorder.outcome = CallOutcome::Ok;
        return AttemptResult::Suspended;
    }
    let forbids_retry = matches!(&failure, CallFailure::Fault(fault) if fault.forbids_retry());
    let (outcome, fault) = call.fault_of(failure);
    recorder.outcome = outcome;
    if forbids_retry { AttemptResult::Unrepeatable(fault) } else { AttemptResult::HandlerError(fault) }
}
