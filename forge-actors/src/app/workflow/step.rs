//! `ctx.step(..)`: what runs once and is recorded.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::context::{ActionContext, CallScope, WorkflowContext};
use crate::app::error::{CallError, Result};
use crate::app::handler::Handler;
use crate::app::job::RetryBackoff;
use crate::app::kind::RunsAsStep;
use crate::app::wire_shape::{shape_of, shape_of_call};
use crate::app::wire_type::WireType;
use crate::app::workflow::attempt::{compensation_call, step_call};
use crate::app::workflow::execution::{AttemptWork, Execution, StepEnd, StepPolicy, StepWork};
use crate::app::workflow_run::branch::{Branch, StepPosition};
use crate::app::workflow_run::compensation::{Compensation, CompensationCall};
use crate::app::workflow_run::journal::StepKind;
use crate::app::workflow_run::limits::{
    CLOSURE_TIMEOUT, SHOWN_INPUT_BYTES_MAX, STEP_RESULT_BYTES_MAX, WAIT_MAX,
};
use crate::app::workflow_run::run::ActiveRun;
use crate::kernel::fault::{Code, Fault};

/// Marks steps that are messages.
pub enum ByMessage {}
/// Marks steps that are closures without arguments.
pub struct ByClosure<F>(PhantomData<F>);
/// Marks steps that are closures which take the context of an action.
pub struct ByAction<F>(PhantomData<F>);

/// What a step runs: a message of a query, a mutation or an action, or a closure.
#[diagnostic::on_unimplemented(
    message = "this is no step",
    label = "neither the message of a query, mutation or action nor a closure",
    note = "a step is a message (`accounts::Open {{ user }}`) or a closure that returns a `Result`: \
            `|| async {{ .. }}`, or `|ctx: ActionContext| async move {{ .. }}`; a job is run with \
            `ctx.run_job(..)`, a workflow with `ctx.run_child(..)`"
)]
pub trait StepBody<'a, Marker>: Send + 'a {
    /// What it returns.
    type Output: WireType;
    /// How it fails.
    type Error: Send;

    #[doc(hidden)]
    fn work(self) -> Result<StepWork<'a>>;

    #[doc(hidden)]
    fn error(fault: Fault) -> Self::Error;
}

impl<'a, H> StepBody<'a, ByMessage> for H
where
    H: Handler,
    H::Kind: RunsAsStep,
{
    type Output = H::Output;
    type Error = CallError<H::Error>;

    fn work(self) -> Result<StepWork<'a>> {
        let call = step_call(&self)?;
        let input = (call.args.len() <= SHOWN_INPUT_BYTES_MAX)
            .then(|| String::from_utf8_lossy(&call.args).into_owned());
        Ok(StepWork {
            kind: StepKind::Call,
            shape: shape_of_call::<H>(),
            input,
            timeout: H::META.timeout,
            attempt: AttemptWork::Call(call),
        })
    }

    fn error(fault: Fault) -> Self::Error {
        CallError::from_fault(fault)
    }
}

impl<'a, F, Fut, T> StepBody<'a, ByClosure<(Fut, T)>> for F
where
    F: Fn() -> Fut + Send + Sync + 'a,
    Fut: Future<Output = Result<T>> + Send + 'a,
    T: WireType,
{
    type Output = T;
    type Error = Fault;

    fn work(self) -> Result<StepWork<'a>> {
        Ok(closure::<T>(Box::new(move |_| {
            let running = self();
            Box::pin(async move { written(&running.await?) })
        })))
    }

    fn error(fault: Fault) -> Fault {
        fault
    }
}

impl<'a, F, Fut, T> StepBody<'a, ByAction<(Fut, T)>> for F
where
    F: Fn(ActionContext) -> Fut + Send + Sync + 'a,
    Fut: Future<Output = Result<T>> + Send + 'a,
    T: WireType,
{
    type Output = T;
    type Error = Fault;

    fn work(self) -> Result<StepWork<'a>> {
        Ok(closure::<T>(Box::new(move |scope| {
            let running = self(ActionContext::new(scope, ()));
            Box::pin(async move { written(&running.await?) })
        })))
    }

    fn error(fault: Fault) -> Fault {
        fault
    }
}

fn closure<'a, T: WireType>(
    attempt: Box<dyn Fn(CallScope) -> BoxFuture<'a, Result<Bytes>> + Send + Sync + 'a>,
) -> StepWork<'a> {
    StepWork {
        kind: StepKind::Closure,
        shape: shape_of::<T>(),
        input: None,
        timeout: CLOSURE_TIMEOUT,
        attempt: AttemptWork::Closure(attempt),
    }
}

/// The result of a step as JSON.
pub(super) fn written<T: WireType>(value: &T) -> Result<Bytes> {
    let json = value.to_json_within(STEP_RESULT_BYTES_MAX).map_err(|error| {
        let fault = Fault::from(error);
        match fault.code() {
            Code::PayloadTooLarge => {
                fault.with_help("keep what is large in a table or a file, and return its id").without_retry()
            }
            _ => fault,
        }
    })?;
    Ok(json.into())
}

/// What a completed step registers to be undone.
type Undo<'a, T> = Box<dyn FnOnce(&T) -> Result<CompensationCall> + Send + 'a>;

/// A step about to run; awaiting this runs it, unless the journal has its result.
#[must_use = "a step does nothing until it is awaited"]
pub struct StepBuilder<'a, T, E> {
    ctx: &'a WorkflowContext,
    placed: Result<(StepPosition, StepWork<'a>)>,
    name: String,
    policy: StepPolicy,
    undo: Option<Undo<'a, T>>,
    error: fn(Fault) -> E,
}

/// A step whose failure the workflow survives; awaiting this runs it.
#[must_use = "a step does nothing until it is awaited"]
pub struct OptionalStep<'a, T, E>(StepBuilder<'a, T, E>);

impl WorkflowContext {
    /// Runs `body` once, and records what it returns under this name: when the run goes on after a crash or a
    /// wait, the step returns what was recorded and is not run again. A step that was under way when its node
    /// crashed, and had not been recorded, runs again; one that is the message of a mutation is recorded in
    /// the mutation's transaction, so its effect happens exactly once.
    ///
    /// `body` is the message of a query, mutation or action, or a closure: `|| async { .. }`, or
    /// `|ctx: ActionContext| async move { .. }`.
    ///
    /// # Errors
    /// What the body has failed with, after all attempts. The failure is recorded too. `PAYLOAD_TOO_LARGE`
    /// when the result has more than 1 MiB, or the journal is full.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::mutation]
    /// # pub async fn open(_ctx: &MutationContext, user: Uuid) -> Result<Uuid> { Ok(user) }
    /// # #[forge::mutation] pub async fn close(_ctx: &MutationContext, id: Uuid) -> Result<()> { Ok(()) }
    /// #[forge::workflow]
    /// pub async fn onboard(ctx: &WorkflowContext, user: Uuid) -> Result<()> {
    ///     let account = ctx
    ///         .step("account", Open { user })
    ///         .retry(5)
    ///         .timeout(secs(10))
    ///         .compensate(|account| Close { id: *account })
    ///         .await?;
    ///     let greeting = ctx.step("greeting", || async move { Ok(format!("hello {account}")) }).await?;
    ///     ctx.step("greet", |ctx: ActionContext| {
    ///         let greeting = greeting.clone();
    ///         async move {
    ///             let sent = ctx.http().post("https://example.org").body(greeting).send().await;
    ///             sent.map(drop).map_err(Fault::internal)
    ///         }
    ///     })
    ///     .await
    /// }
    /// # fn main() {}
    /// ```
    pub fn step<'a, M, B: StepBody<'a, M>>(
        &'a self,
        name: &str,
        body: B,
    ) -> StepBuilder<'a, B::Output, B::Error> {
        let placed = self.place().and_then(|place| Ok((place, body.work()?)));
        StepBuilder {
            ctx: self,
            placed,
            name: name.to_owned(),
            policy: StepPolicy::ONCE,
            undo: None,
            error: B::error,
        }
    }

    /// The position of the next step, in the branch that is polled now.
    pub(super) fn place(&self) -> Result<StepPosition> {
        Ok(Branch::current()?.place())
    }

    pub(super) fn run(&self) -> &Arc<ActiveRun> {
        &self.resources.run
    }
}

impl<'a, T: WireType, E> StepBuilder<'a, T, E> {
    /// Tries so many times more when an attempt fails, with growing pauses from a second to a minute. Without
    /// it the first failure is final. Failures of the infrastructure (the database is away, the node is full)
    /// are retried for ten minutes in any case.
    pub fn retry(mut self, times: u32) -> Self {
        self.policy.attempts_max = times.saturating_add(1);
        self
    }

    /// The pauses between attempts, in place of an exponential backoff from a second to a minute.
    pub fn backoff(mut self, backoff: RetryBackoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// Lets an attempt take this long: in place of a minute for a closure, and at most the handler's own time
    /// limit for a message.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.policy.timeout = Some(limit.min(WAIT_MAX));
        self
    }

    /// The run goes on when the step fails: its result is an `Option`.
    pub fn optional(self) -> OptionalStep<'a, T, E> {
        OptionalStep(self)
    }

    /// Takes back what the step has done, when the run fails, reaches its time limit or is cancelled later:
    /// the message is called then, after the compensations of all steps that completed later. It is tried up
    /// to twenty times; then the run is `compensation_failed` until a person retries or skips it.
    pub fn compensate<C>(mut self, undo: impl FnOnce(&T) -> C + Send + 'a) -> Self
    where
        C: Handler,
        C::Kind: RunsAsStep,
    {
        self.undo = Some(Box::new(move |output| compensation_call(&undo(output))));
        self
    }

    async fn run(self, is_optional: bool) -> Result<Option<T>, E> {
        let Self { ctx, placed, name, policy, undo, error } = self;
        let ended = async {
            let (place, work) = placed?;
            let run = Arc::clone(ctx.run());
            let position = place.position.clone();
            let execution =
                Execution { ctx, run: &run, place: &place, name: &name, policy, work, is_optional };
            let StepEnd { output, number } = execution.run().await?;
            let Some(json) = output else { return Ok(None) };
            let output = T::from_json(json.as_bytes()).map_err(|error| {
                let text = format!("the recorded result of the step `{name}` cannot be read: {error}");
                Fault::new(Code::Conflict, text)
            })?;
            if let Some(undo) = undo {
                let (_, index) = run.compensation_order();
                run.add_compensation(Compensation::of(&position, &name, (number, index), undo(&output)?));
            }
            Ok(Some(output))
        };
        ended.await.map_err(error)
    }
}

impl<'a, T: WireType, E: Send + 'a> IntoFuture for StepBuilder<'a, T, E> {
    type Output = Result<T, E>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let error = self.error;
        Box::pin(async move {
            let output = self.run(false).await?;
            output.ok_or_else(|| error(Fault::internal("a step that is not optional was skipped")))
        })
    }
}

impl<'a, T: WireType, E: Send + 'a> IntoFuture for OptionalStep<'a, T, E> {
    type Output = Result<Option<T>, E>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run(true))
    }
}
