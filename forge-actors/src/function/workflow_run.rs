//! One activation of a run of a workflow: its function is executed until it ends or can only wait, and its
//! completed steps are compensated when it has failed.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tracing::Instrument;

use super::admission::Permit;
use super::call::{ActiveCall, CallFailure};
use super::shared::FunctionShared;
use super::signals::CallOutcome;
use crate::app::decoded::Decoded;
use crate::app::workflow::saga::{CompensationEnd, compensate};
use crate::app::workflow_run::ActiveRun;
use crate::app::workflow_run::branch::InBranch;
use crate::app::{Registration, WorkflowResources};
use crate::kernel::fault::Fault;
use crate::kernel::invocation::Invocation;
use crate::kernel::time::days;
use crate::subsystem::ActorPath;
use crate::supervise::catch_unwind;

/// An activation ends by itself; no time limit of a call ends it.
const ACTIVATION_MAX: Duration = days(3_650);

/// How an activation of a function has ended.
#[derive(Debug)]
pub enum FunctionEnd {
    /// It has returned this, as JSON.
    Returned(Bytes),
    /// It goes on as a new run with these arguments, as JSON.
    Continued(String),
    /// It has failed, and nothing is compensated yet.
    Failed(Fault),
    /// It only waits, or differs from its journal, and was dropped.
    Left,
    /// Its arguments do not fit.
    InvalidArguments(Fault),
    /// It was stopped from outside.
    Interrupted,
}

/// Executes the function of a run.
pub(super) async fn run(
    shared: &Arc<FunctionShared>,
    runner: &'static ActorPath,
    registration: &'static Registration,
    invocation: Invocation,
    run: Arc<ActiveRun>,
    interrupted: impl Future<Output = ()>,
) -> FunctionEnd {
    let span = tracing::info_span!(
        "workflow",
        handler = %invocation.name,
        trace_id = %invocation.trace.trace_id_hex(),
        run = %run.id,
    );
    let mut call = ActiveCall::new(shared, registration, runner, invocation, 0, Permit::unlimited());
    call.time_limit = ACTIVATION_MAX;
    execute(call, run, interrupted).instrument(span).await
}

async fn execute(
    call: ActiveCall,
    run: Arc<ActiveRun>,
    interrupted: impl Future<Output = ()>,
) -> FunctionEnd {
    let mut recorder = call.recorder();
    let message = match catch_unwind(async { call.decode() }).await {
        Ok(Ok(Decoded::Workflow(message))) => message,
        Ok(Ok(_)) => return FunctionEnd::InvalidArguments(Fault::internal("the handler is no workflow")),
        Ok(Err(fault)) => {
            recorder.outcome = CallOutcome::Fault;
            return FunctionEnd::InvalidArguments(fault);
        }
        Err(panic) => {
            let (outcome, fault) = call.fault_of(CallFailure::Panic(panic));
            recorder.outcome = outcome;
            return FunctionEnd::InvalidArguments(fault);
        }
    };
    let body = message.run(call.scope(), WorkflowResources { run: Arc::clone(&run) });
    let mut body = InBranch::new(Arc::clone(run.root()), body);
    let leaving = poll_fn(move |cx| {
        let polled = std::pin::Pin::new(&mut body).poll(cx);
        match polled {
            // Code that differs from the journal neither ends nor goes on.
            _ if run.has_diverged() => Poll::Ready(Err(Fault::suspended())),
            Poll::Pending if let Some(fault) = run.take_failure() => Poll::Ready(Err(fault)),
            Poll::Pending if run.is_idle() => {
                run.leave();
                Poll::Ready(Err(Fault::suspended()))
            }
            polled => polled,
        }
    });
    let running: BoxFuture<'static, Result<Bytes, Fault>> = Box::pin(leaving);
    let failure = match call.run_here(running, interrupted).await {
        Ok(output) => {
            recorder.outcome = CallOutcome::Ok;
            return FunctionEnd::Returned(output);
        }
        Err(CallFailure::Drain | CallFailure::NoThread | CallFailure::Deadline) => {
            return FunctionEnd::Interrupted;
        }
        Err(failure) => failure,
    };
    if let CallFailure::Fault(fault) = &failure {
        if fault.is_suspension() {
            recorder.outcome = CallOutcome::Ok;
            return FunctionEnd::Left;
        }
        if let Some(args) = fault.continues_with() {
            recorder.outcome = CallOutcome::Ok;
            return FunctionEnd::Continued(args.to_owned());
        }
    }
    let (outcome, fault) = call.fault_of(failure);
    recorder.outcome = outcome;
    FunctionEnd::Failed(fault)
}

/// Runs the compensations of a run whose function has left.
pub(super) async fn run_compensations(
    shared: &Arc<FunctionShared>,
    runner: &'static ActorPath,
    registration: &'static Registration,
    invocation: Invocation,
    run: Arc<ActiveRun>,
) -> Result<CompensationEnd, Fault> {
    let span = tracing::info_span!(
        "compensation",
        handler = %invocation.name,
        trace_id = %invocation.trace.trace_id_hex(),
        run = %run.id,
    );
    let mut call = ActiveCall::new(shared, registration, runner, invocation, 0, Permit::unlimited());
    call.time_limit = ACTIVATION_MAX;
    let mut recorder = call.recorder();
    let scope = call.scope();
    let end = compensate(&run, &scope).instrument(span).await;
    recorder.outcome = CallOutcome::Ok;
    end
}
