//! One admitted call, from its arguments to its answer.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::access::check_size;
use super::admission::Permit;
use super::faults::{panic_fault, stopped_fault, stopping_fault, timeout_fault};
use super::idempotency::{KeyedCall, Replay};
use super::paths::FUNCTIONS;
use super::refused_value;
use super::shared::FunctionShared;
use super::signals::{self, CallOutcome, HandlerMetrics};
use super::threads::HandlerGuard;
use crate::app::context::{AfterCommit, CallScope, RecordInTransaction};
use crate::app::cron::CronRun;
use crate::app::decoded::{Decoded, Runnable};
use crate::app::{
    Access, KindName, KindOptions, Meta, Mutation, MutationOptions, MutationResources, Query, QueryOptions,
    QueryResources, Registration,
};
use crate::change::{Hint, TopicSet};
use crate::db::error::lost_race;
use crate::db::handle::Db;
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::kernel::backoff::Backoff;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Invocation, is_system};
use crate::kernel::limits;
use crate::kernel::time::Timestamp;
use crate::subsystem::ActorPath;
use crate::supervise::{Panic, catch_unwind};

/// Between two tries of a query or mutation that lost a race: long enough for the winner to commit.
const RACE_BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(4), Duration::from_millis(100));

/// The answer of a call, and the receipt of what it committed.
pub(super) type AnswerAndReceipt = (Result<Bytes, Fault>, Receipt);

/// What a handler returned, or why it returned nothing.
pub(super) type HandlerResult = Result<Bytes, CallFailure>;

/// Why a call has no answer.
pub(super) enum CallFailure {
    Fault(Fault),
    Panic(Panic),
    /// The call took longer than its time limit, or than its caller's.
    Deadline,
    /// The time limit was over before the handler got a thread: it has not run.
    NoThread,
    /// The node stops, and its drain has waited long enough; or the attempt of a job was interrupted.
    Drain,
}

impl From<Fault> for CallFailure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Who makes a call. `depth` counts the calls around it.
pub(super) enum CallOrigin {
    /// A client, or another handler.
    Call { depth: u32 },
    /// A run of a workflow, as a step. `record` writes in the transaction of a mutation.
    Step { depth: u32, record: Option<Arc<dyn RecordInTransaction>> },
}

/// Admits a call whose access has been checked, and runs it: a query in the task of the caller, a mutation or
/// an action in a task of its own whose answer is awaited.
pub(super) async fn admit_and_run(
    shared: &Arc<FunctionShared>,
    registration: &'static Registration,
    invocation: Invocation,
    origin: CallOrigin,
) -> AnswerAndReceipt {
    let permit = match admit(shared, &registration.meta, &invocation, &origin) {
        Ok(permit) => permit,
        Err(fault) => return (Err(fault), Receipt::default()),
    };
    let (depth, record) = match origin {
        CallOrigin::Call { depth } => (depth, None),
        CallOrigin::Step { depth, record } => (depth, record),
    };
    let span = span_of(&invocation, depth);
    let mut call = ActiveCall::new(shared, registration, &FUNCTIONS, invocation, depth, permit);
    call.record = record;
    if registration.meta.kind() == KindName::Query {
        // A query leaves nothing behind when it is dropped half-way, so it may end with its caller's task.
        return shared.tasks.track_future(call.run()).instrument(span).await;
    }
    let (answer, answered) = oneshot::channel();
    let task = async move {
        // The caller may have disconnected; what was committed stays committed.
        let _disconnected = answer.send(call.run().await);
    };
    // Spawned on the node's runtime: a handler may make this call, and on the threads of handlers a blocked
    // thread would keep the transaction open.
    shared.tasks.spawn_on(task.instrument(span), shared.threads.node());
    answered.await.unwrap_or_else(|_| (Err(stopped_fault()), Receipt::default()))
}

fn admit(
    shared: &FunctionShared,
    meta: &Meta,
    invocation: &Invocation,
    origin: &CallOrigin,
) -> Result<Permit, Fault> {
    check_size(meta, invocation)?;
    let is_outermost = matches!(origin, CallOrigin::Call { depth: 0 });
    if shared.tasks.is_closed() && is_outermost {
        return Err(stopping_fault());
    }
    if meta.kind() == KindName::Action && invocation.idempotency_key.is_some() {
        let message = "an action may do things that no transaction takes back, so it takes no idempotency \
                       key; mutations and queries do";
        return Err(Fault::new(Code::BadRequest, message));
    }
    if is_outermost {
        shared.check_threads(&invocation.name)?;
    }
    match origin {
        CallOrigin::Call { .. } => {
            shared.admission.enter(&invocation.name, invocation.caller.key(), !is_outermost)
        }
        CallOrigin::Step { .. } => shared.admission.enter_step(&invocation.name),
    }
}

/// The span of the caller, which has the name and the trace already; a call inside of another one gets a span
/// of its own.
fn span_of(invocation: &Invocation, depth: u32) -> Span {
    let current = Span::current();
    if depth == 0 && !current.is_none() {
        return current;
    }
    tracing::info_span!("call", handler = %invocation.name, trace_id = %invocation.trace.trace_id_hex())
}

/// Counts a call when it ends. A call that is dropped before it has an outcome counts as cancelled.
pub(super) struct OutcomeRecorder<'a> {
    call: &'a ActiveCall,
    pub(super) outcome: CallOutcome,
}

impl Drop for OutcomeRecorder<'_> {
    fn drop(&mut self) {
        let shared = &self.call.shared;
        if !is_system(&self.call.invocation.name) {
            shared.calls.fetch_add(1, Relaxed);
            if matches!(self.outcome, CallOutcome::Panic | CallOutcome::Timeout | CallOutcome::Internal) {
                shared.errors.fetch_add(1, Relaxed);
            }
        }
        if let Some(metrics) = self.call.metrics() {
            metrics.ended(self.outcome, self.call.began.elapsed());
        }
    }
}

/// A call, or an attempt of a job, that runs.
pub(super) struct ActiveCall {
    pub(super) shared: Arc<FunctionShared>,
    registration: &'static Registration,
    /// The actor below which a panic of the handler is recorded.
    runner: &'static ActorPath,
    pub(super) invocation: Arc<Invocation>,
    /// How many calls are around this one.
    pub(super) depth: u32,
    began: Instant,
    /// How long the call may take, unless its caller waits for less.
    pub(super) time_limit: Duration,
    /// What the handler asked for that happens after the commit.
    after_commit: AfterCommit,
    receipt: OnceLock<Receipt>,
    pub(super) guard: Arc<HandlerGuard>,
    /// Writes in the transaction of a mutation, before its commit.
    record: Option<Arc<dyn RecordInTransaction>>,
}

impl ActiveCall {
    pub(super) fn new(
        shared: &Arc<FunctionShared>,
        registration: &'static Registration,
        runner: &'static ActorPath,
        invocation: Invocation,
        depth: u32,
        permit: Permit,
    ) -> Self {
        let began = Instant::now();
        let entry = shared.in_flight.enter(invocation.id, &invocation.name);
        Self {
            shared: Arc::clone(shared),
            registration,
            runner,
            invocation: Arc::new(invocation),
            depth,
            began,
            time_limit: registration.meta.timeout,
            after_commit: AfterCommit::default(),
            receipt: OnceLock::new(),
            guard: Arc::new(HandlerGuard { entry, permit }),
            record: None,
        }
    }

    /// Counts the call when the result is dropped.
    pub(super) fn recorder(&self) -> OutcomeRecorder<'_> {
        OutcomeRecorder { call: self, outcome: CallOutcome::Cancelled }
    }

    async fn run(mut self) -> AnswerAndReceipt {
        let mut recorder = self.recorder();
        // Boxed: what a caller awaits would otherwise nest deeper than rustc follows in a test of an
        // application.
        let running: BoxFuture<'_, HandlerResult> = Box::pin(self.run_with_retries());
        // Reading the arguments runs application code too, which may panic.
        let ended = catch_unwind(running).await.unwrap_or_else(|panic| Err(CallFailure::Panic(panic)));
        let (outcome, answer) = match ended {
            Ok(output) => (CallOutcome::Ok, Ok(output)),
            Err(failure) => {
                let (outcome, fault) = self.fault_of(failure);
                (outcome, Err(fault))
            }
        };
        recorder.outcome = outcome;
        drop(recorder);
        (answer, self.receipt.take().unwrap_or_default())
    }

    fn metrics(&self) -> Option<&HandlerMetrics> {
        self.shared.metrics.get(&*self.invocation.name)
    }

    /// Runs the handler as its kind demands. A query or mutation that lost a race runs again from the start.
    async fn run_with_retries(&self) -> HandlerResult {
        let mut tries = 1;
        loop {
            // The arguments are read before a transaction begins: refused arguments cost no transaction.
            let ended = match (self.decode()?, self.registration.meta.options) {
                (Decoded::Query(message), KindOptions::Query(options)) => self.query(message, options).await,
                (Decoded::Mutation(message), KindOptions::Mutation(options)) => {
                    self.mutation(message, options).await
                }
                // An effect outside of the database cannot be undone, so an action is not run again.
                (Decoded::Action(message), _) => {
                    return self.run_handler(message.run(self.scope(), ())).await;
                }
                (Decoded::Job(_) | Decoded::Cron(_), _) => {
                    return Err(Fault::internal("a job is dispatched, not called").into());
                }
                (Decoded::Workflow(_), _) => {
                    return Err(Fault::internal("a workflow is started, not called").into());
                }
                (Decoded::Query(_) | Decoded::Mutation(_), _) => {
                    return Err(Fault::internal("the handler has the options of another kind").into());
                }
            };
            let try_again = matches!(&ended, Err(CallFailure::Fault(fault)) if lost_race(fault));
            let pause = RACE_BACKOFF.jittered(tries);
            if !try_again || tries >= limits::CALL_TRIES_MAX || self.remaining() <= pause {
                return ended;
            }
            if let Some(metrics) = self.metrics() {
                metrics.retried();
            }
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// When the call is cancelled: at the handler's own limit, or earlier when its caller says so.
    pub(super) fn deadline(&self) -> Instant {
        let own_deadline = self.began + self.time_limit;
        self.invocation.deadline.map_or(own_deadline, |caller| caller.min(own_deadline))
    }

    fn remaining(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    /// Reads the arguments; once for each try, since running a message consumes it.
    pub(super) fn decode(&self) -> Result<Decoded, Fault> {
        self.registration.decode(&self.invocation.args)
    }

    /// Where a handler writes that has no transaction.
    pub(super) fn writer(&self) -> Db {
        self.shared.database.writer()
    }

    /// Notes that an attempt at a run of a cron begins. Returns when, by the database's clock.
    pub(super) async fn begin_cron_run(&self, run: &CronRun) -> Result<Timestamp, Fault> {
        self.shared.services.crons.begin(&self.shared.database.control(), run).await
    }

    pub(super) fn scope(&self) -> CallScope {
        CallScope::new(
            Arc::clone(&self.invocation),
            self.depth,
            self.deadline(),
            self.after_commit.clone(),
            Arc::clone(&self.shared.services),
            self.guard.permit.place(),
        )
    }

    /// Waits for `future` until the deadline of the call, or until the drain cancels it.
    async fn with_deadline<T>(&self, future: impl Future<Output = T>) -> Result<T, CallFailure> {
        tokio::select! {
            biased;
            done = future => Ok(done),
            () = tokio::time::sleep_until(self.deadline().into()) => Err(CallFailure::Deadline),
            () = self.shared.cancelled() => Err(CallFailure::Drain),
        }
    }

    async fn query(&self, message: Box<dyn Runnable<Query>>, options: QueryOptions) -> HandlerResult {
        let database = &self.shared.database;
        if !options.snapshot {
            // Dropping the handler's future returns its session to the pool as broken, and the pool cancels
            // the statement.
            return self
                .run_handler(message.run(self.scope(), QueryResources { db: database.reader() }))
                .await;
        }
        let beginning = database.snapshot(&self.invocation.name, self.remaining());
        let tx = self.with_deadline(beginning).await??;
        let ended = self.run_handler(message.run(self.scope(), QueryResources { db: tx.db() })).await;
        end(tx, ended).await.map(|(output, _)| output)
    }

    async fn mutation(
        &self,
        message: Box<dyn Runnable<Mutation>>,
        options: MutationOptions,
    ) -> HandlerResult {
        // Before the transaction, which holds a connection: the digest reads all arguments, and a call with
        // the same key may run for long.
        let keyed = KeyedCall::of(&self.invocation);
        let _turn = match &keyed {
            Some(call) => Some(self.with_deadline(self.shared.key_turns.wait(call)).await?),
            None => None,
        };
        let share = self.shared.transactions.enter(&self.invocation.name);
        let _share = self.with_deadline(share).await??;
        let transaction = TransactionOptions {
            isolation: options.isolation,
            read_only: false,
            statement_timeout: self.remaining(),
            label: &self.invocation.name,
        };
        let beginning = self.shared.database.begin(transaction);
        let tx = self.with_deadline(beginning).await??;
        let ended = match keyed {
            None => self.run_handler(message.run(self.scope(), MutationResources { db: tx.db() })).await,
            Some(key) => match self.run_once(&key, message, &tx).await {
                Ok(KeyedAnswer::First(output)) => Ok(output),
                Ok(KeyedAnswer::Replayed(Replay { answer, receipt })) => {
                    tx.rollback().await;
                    self.receipt.set(receipt).unwrap_or_else(|_| unreachable!("a call is answered once"));
                    return Ok(answer);
                }
                Err(failure) => Err(failure),
            },
        };
        let ended = self.recorded(&tx, ended).await;
        let (output, receipt) = end(tx, ended).await?;
        let mut topics: TopicSet = receipt.tables.iter().copied().collect();
        topics.extend(self.after_commit.take_queues());
        self.shared.hints.publish(Hint { xid: receipt.xid, topics });
        self.receipt.set(receipt).unwrap_or_else(|_| unreachable!("a call commits once"));
        Ok(output)
    }

    /// Writes what is to be recorded of a handler that has succeeded.
    async fn recorded(&self, tx: &Transaction, ended: HandlerResult) -> HandlerResult {
        let (Some(record), Ok(output)) = (&self.record, &ended) else { return ended };
        self.with_deadline(record.record(&tx.db(), output)).await??;
        ended
    }

    /// Reserves the key, runs the handler and stores its answer; a key that was used before is answered
    /// without running the handler.
    async fn run_once(
        &self,
        key: &KeyedCall<'_>,
        message: Box<dyn Runnable<Mutation>>,
        tx: &Transaction,
    ) -> Result<KeyedAnswer, CallFailure> {
        let db = tx.db();
        if let Some(replay) = self.with_deadline(key.reserve(&db)).await?? {
            return Ok(KeyedAnswer::Replayed(replay));
        }
        let output = self.run_handler(message.run(self.scope(), MutationResources { db: tx.db() })).await?;
        // A public function may be the sign-in, whose answer is a token: neither to be kept in a table nor to
        // be given to everybody who knows the key.
        if self.registration.meta.access != Access::Public {
            self.with_deadline(key.store(&db, &output)).await??;
        }
        Ok(KeyedAnswer::First(output))
    }

    /// How the failure is counted, and the fault that its caller gets.
    pub(super) fn fault_of(&self, failure: CallFailure) -> (CallOutcome, Fault) {
        let meta = &self.registration.meta;
        let name = &self.invocation.name;
        match failure {
            CallFailure::Fault(fault) => {
                let fault = refused_value::classify(fault, &self.invocation.args);
                let outcome = match fault.code() {
                    Code::Timeout => CallOutcome::Timeout,
                    Code::Internal => CallOutcome::Internal,
                    _ => CallOutcome::Fault,
                };
                (outcome, fault)
            }
            CallFailure::Panic(panic) => {
                (CallOutcome::Panic, panic_fault(&self.shared.tree, self.runner, meta, name, panic))
            }
            CallFailure::Deadline => (CallOutcome::Timeout, timeout_fault(self.time_limit, name)),
            CallFailure::NoThread => {
                signals::count_without_thread();
                (CallOutcome::Fault, self.shared.no_thread_fault(name))
            }
            CallFailure::Drain => (CallOutcome::Cancelled, stopped_fault()),
        }
    }
}

/// The answer of a call with an idempotency key.
enum KeyedAnswer {
    /// The handler ran.
    First(Bytes),
    /// The answer of an earlier call.
    Replayed(Replay),
}

/// Commits or rolls back as the handler ended. `Ok` means that Postgres has confirmed the commit.
async fn end(tx: Transaction, ended: HandlerResult) -> Result<(Bytes, Receipt), CallFailure> {
    let failure = match ended {
        Ok(output) => return Ok((output, tx.commit().await?)),
        Err(failure) => failure,
    };
    match failure {
        CallFailure::Fault(_) | CallFailure::Panic(_) | CallFailure::NoThread => tx.rollback().await,
        CallFailure::Deadline | CallFailure::Drain => tx.abort().await,
    }
    Err(failure)
}
