//! `ctx.step(..)`: what runs once and is recorded.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::context::{ActionContext, CallScope, WorkflowContext};
use crate::app::error::{CallError, Result};
use crate::app::handler::Handler;
use crate::app::job::RetryBackoff;
use crate::app::job_failure::JobFailure;
use crate::app::kind::RunsAsStep;
use crate::app::wire_shape::{shape_of, shape_of_call};
use crate::app::wire_type::WireType;
use crate::app::workflow::attempt::{
    Attempted, attempt_call, compensation_call, is_infrastructure, step_call, unwound,
};
use crate::app::workflow_run::branch::{Branch, StepPosition};
use crate::app::workflow_run::compensation::{Compensation, CompensationCall, StepCall};
use crate::app::workflow_run::journal::{JournalEntry, StepIdentity, StepKind, StepStatus};
use crate::app::workflow_run::limits::{
    CLOSURE_TIMEOUT, INFRASTRUCTURE_PATIENCE, RETRY_IN_MEMORY_MAX, SHOWN_INPUT_BYTES_MAX,
    STEP_RESULT_BYTES_MAX, WAIT_MAX,
};
use crate::app::workflow_run::run::{ActiveRun, Found, entry_of};
use crate::app::workflow_run::store::{Recorded, StepRow};
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::{millis, minutes, secs};
use crate::test_signals::{Step as Signal, pause_point};

/// Between attempts that failed by the infrastructure.
const INFRASTRUCTURE_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(10));
/// Between the attempts of a step that names no other backoff.
const RETRY_BACKOFF: RetryBackoff = RetryBackoff::Exponential { base: secs(1), max: minutes(1) };

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

/// A step's work without its types.
#[doc(hidden)]
pub struct StepWork<'a> {
    pub(super) kind: StepKind,
    pub(super) shape: u64,
    pub(super) input: Option<String>,
    pub(super) timeout: Duration,
    pub(super) attempt: AttemptWork<'a>,
}

/// How one attempt runs.
#[doc(hidden)]
pub enum AttemptWork<'a> {
    /// As a call of another handler.
    Call(StepCall),
    /// As a closure, which returns JSON.
    Closure(Box<dyn Fn(CallScope) -> BoxFuture<'a, Result<Bytes>> + Send + Sync + 'a>),
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

    /// Takes back what the step has done, when the run fails or is cancelled later: the message is called
    /// then, after the compensations of all steps that completed later, and again until it succeeds.
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
struct Execution<'s, 'a> {
    ctx: &'s WorkflowContext,
    run: &'s Arc<ActiveRun>,
    place: &'s StepPosition,
    name: &'s str,
    policy: StepPolicy,
    work: StepWork<'a>,
    is_optional: bool,
}

impl Execution<'_, '_> {
    async fn run(&self) -> Result<StepEnd> {
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
        let mut troubled_since: Option<(Instant, u32)> = None;
        loop {
            if self.run.is_stopping() {
                return self.run.never().await;
            }
            let _executing = self.run.executing();
            pause_point(Signal::WorkflowStepStarting, self.name).await;
            let began = Instant::now();
            let row = self.row(failed + 1, began);
            let fault = match self.attempt(&row).await {
                Ok(Attempted::Recorded { output, number, recorded }) => {
                    return Ok((StepEnd { output: Some(output), number }, recorded));
                }
                Ok(Attempted::Returned(output)) => {
                    pause_point(Signal::WorkflowStepRan, self.name).await;
                    match self.complete(row, output).await {
                        Ok(ended) => return Ok(ended),
                        Err(fault) => fault.without_retry(),
                    }
                }
                Err(fault) => fault,
            };
            if is_infrastructure(&fault) {
                let (since, count) = troubled_since.get_or_insert((began, 0));
                if since.elapsed() < INFRASTRUCTURE_PATIENCE {
                    let pause = INFRASTRUCTURE_BACKOFF.jittered(*count);
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
            position: self.place.position.clone(),
            kind: self.work.kind,
            status: StepStatus::Completed,
            name: self.name.to_owned(),
            shape: self.work.shape,
            attempts,
            number: None,
            input: self.work.input.clone(),
            output: None,
            error: None,
            elapsed: began.elapsed(),
            due_in: None,
            event: None,
            event_id: None,
            awaits: None,
        }
    }

    async fn complete(&self, mut row: StepRow, output: String) -> Result<(StepEnd, Recorded)> {
        let number = self.run.next_number();
        row.number = Some(number);
        row.output = Some(output.clone());
        let recorded = self.run.record(row).await?;
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

    async fn wait_until(&self, due_at: crate::kernel::time::Timestamp) {
        super::wait::sleep_until(self.run, &self.place.position, due_at).await;
    }
}

fn side_by_side(name: &str) -> Fault {
    Fault::internal(format!(
        "the step `{name}` is awaited beside another one of the same branch, so their order is not certain; \
         run them with `ctx.parallel`, `ctx.race` or `ctx.join_all`"
    ))
    .without_retry()
}
