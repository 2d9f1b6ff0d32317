//! Live queries: access and arguments are checked once, when a client subscribes; the query runs as often as
//! the reactor asks, in the snapshot that the reactor brings.
//!
//! A run is contained as a call is: a panic, a failed statement or a time limit ends that run and nothing
//! else. It takes no place of a call: the reactor limits how many run. A run whose handler blocks its thread
//! is given up at the time limit, though the handler goes on. A run whose handler gets no thread in time has
//! not run: its result is an error that says so.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;

use super::access::check_size;
use super::admission::Permit;
use super::canonical::canonical_args;
use super::faults::{panic_fault, timeout_fault};
use super::handler_run::CANCEL_TIMEOUT;
use super::paths::FUNCTIONS;
use super::refused_value;
use super::shared::FunctionShared;
use super::threads::{HandlerEnd, HandlerGuard, HandlerOutput, RunningHandler};
use crate::app::context::{AfterCommit, CallScope, Observed};
use crate::app::decoded::Decoded;
use crate::app::{KindOptions, QueryResources, Registration};
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::supervise::catch_unwind;

/// A query that may be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveQuery {
    /// The arguments in canonical form: equal JSON values are equal bytes.
    pub args: Bytes,
    /// The query also runs again at this interval.
    pub refresh: Option<Duration>,
}

/// One run of a live query.
#[derive(Debug)]
pub struct LiveRun {
    /// The result of the handler, as JSON.
    pub answer: Result<Bytes, Fault>,
    /// The parts of its caller that the handler read; the answer may depend on them.
    pub observed: Observed,
    /// How long the handler waited for its thread; zero when no handler has the name. `None`: it got no
    /// thread, and has not run.
    pub waited: Option<Duration>,
}

/// How long a run may take. The time that its handler waits for a thread is not time in which it runs.
#[derive(Debug, Clone, Copy)]
pub struct LiveLimits {
    /// Time limit of a run; the handler's own `timeout` holds when it is shorter.
    pub run_max: Duration,
    /// The longest wait for a thread.
    pub thread_wait_max: Duration,
}

/// Checks that the query may be subscribed to with the arguments of `invocation`.
pub(super) fn prepare(
    shared: &FunctionShared,
    registration: &Registration,
    invocation: &Invocation,
) -> Result<LiveQuery, Fault> {
    let KindOptions::Query(options) = registration.meta.options else {
        let message = format!("`{}` is no query, and only queries can be subscribed to", invocation.name);
        return Err(Fault::new(Code::Validation, message));
    };
    check_size(&registration.meta, invocation)?;
    // Reading arguments runs application code, which may panic. It awaits nothing.
    let decoded = catch_unwind(async { registration.decode(&invocation.args).map(drop) }).now_or_never();
    match decoded.expect("decoding has no await") {
        Ok(decoded) => decoded?,
        Err(panic) => {
            return Err(panic_fault(&shared.tree, &FUNCTIONS, &registration.meta, &invocation.name, panic));
        }
    }
    Ok(LiveQuery { args: canonical_args(&invocation.args), refresh: options.refresh })
}

/// Runs the query on `db` within `limits`.
pub(super) async fn run(
    shared: &FunctionShared,
    invocation: Invocation,
    db: Db,
    limits: LiveLimits,
) -> LiveRun {
    let asked = Instant::now();
    let Some(registration) = shared.find(&invocation.name) else {
        return LiveRun::failed(shared.unknown(&invocation.name), Some(Duration::ZERO));
    };
    let meta = &registration.meta;
    // While all threads are blocked, runs that wait for one would pile up there.
    if !shared.threads_free(&invocation.name, limits.thread_wait_max).await {
        return LiveRun::without_thread(shared, &invocation.name);
    }
    let entry = shared.in_flight.enter(invocation.id, &invocation.name);
    let guard = Arc::new(HandlerGuard { entry, permit: Permit::unlimited() });
    let span = tracing::info_span!(
        "live",
        handler = %invocation.name,
        trace_id = %invocation.trace.trace_id_hex(),
    );
    let (name, args) = (Arc::clone(&invocation.name), invocation.args.clone());
    let invocation = Arc::new(invocation);
    let limit = meta.timeout.min(limits.run_max);
    let scope = Arc::new(OnceLock::new());
    let (began_scope, services) = (Arc::clone(&scope), Arc::clone(&shared.services));
    let running = async move {
        // Made on the thread of the handler: the time of a query begins there.
        let scope = began_scope.get_or_init(|| {
            let (after_commit, no_place) = (AfterCommit::default(), Weak::new());
            let deadline = Instant::now() + limit;
            CallScope::new(Arc::clone(&invocation), 0, deadline, after_commit, services, no_place)
        });
        run_handler(registration, &invocation, scope.clone(), db).await
    };
    let handler = span.in_scope(|| shared.threads.run(&name, guard, Box::pin(running)));
    let Some((began, ended)) = end_of(handler, asked + limits.thread_wait_max.min(limit), limit).await else {
        return LiveRun::without_thread(shared, &name);
    };
    let began = began.unwrap_or(asked);
    let answer = match ended {
        // A handler that blocked its thread until now cannot be cancelled, but it is late all the same.
        Some(HandlerEnd::Returned(Ok(_))) if began.elapsed() > limit => None,
        Some(HandlerEnd::Returned(answer)) => {
            Some(answer.map_err(|fault| refused_value::classify(fault, &args)))
        }
        Some(HandlerEnd::Panicked(panic)) => {
            Some(Err(panic_fault(&shared.tree, &FUNCTIONS, meta, &name, panic)))
        }
        Some(HandlerEnd::Cancelled) | None => None,
    };
    LiveRun {
        answer: answer.unwrap_or_else(|| Err(timeout_fault(meta.timeout, &name))),
        observed: scope.get().map_or(Observed::Nothing, CallScope::observed),
        waited: Some(began.saturating_duration_since(asked)),
    }
}

/// Waits for the end of a run: when it began, and how it ended. `None`: it had no thread at `thread_until`,
/// and never runs. A run that takes longer than `limit` has no end, unless it panics when it is cancelled.
async fn end_of(
    mut handler: RunningHandler,
    thread_until: Instant,
    limit: Duration,
) -> Option<(Option<Instant>, Option<HandlerEnd>)> {
    let mut until = thread_until;
    loop {
        if let Ok(ended) = tokio::time::timeout_at(until.into(), handler.ended()).await {
            return Some((handler.began(), Some(ended)));
        }
        if handler.withdraw() {
            return None;
        }
        let began = handler.began();
        let deadline = began.map_or(until, |began| began + limit);
        if deadline <= until {
            // What the handler returns now is late.
            let ended = handler.cancel(CANCEL_TIMEOUT).await;
            return Some((began, ended.filter(|ended| matches!(ended, HandlerEnd::Panicked(_)))));
        }
        until = deadline;
    }
}

impl LiveRun {
    fn failed(fault: Fault, waited: Option<Duration>) -> Self {
        Self { answer: Err(fault), observed: Observed::Nothing, waited }
    }

    fn without_thread(shared: &FunctionShared, name: &str) -> Self {
        Self::failed(shared.no_thread_fault(name), None)
    }
}

async fn run_handler(
    registration: &'static Registration,
    invocation: &Invocation,
    scope: CallScope,
    db: Db,
) -> HandlerOutput {
    match registration.decode(&invocation.args)? {
        Decoded::Query(message) => message.run(scope, QueryResources { db }).await,
        Decoded::Mutation(_)
        | Decoded::Action(_)
        | Decoded::Job(_)
        | Decoded::Cron(_)
        | Decoded::Workflow(_) => Err(Fault::internal("only a query runs as a live query")),
    }
}
