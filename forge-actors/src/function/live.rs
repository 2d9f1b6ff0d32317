//! Live queries: access and arguments are checked once, when a client subscribes; the query runs as often as
//! the reactor asks, in the snapshot that the reactor brings.
//!
//! A run is contained as a call is: a panic, a failed statement or a time limit ends that run and nothing
//! else. It takes no place of a call: the reactor limits how many run. A run whose handler blocks its thread
//! is given up at the time limit, though the handler goes on.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;

use super::admission::Permit;
use super::call::{CUT_PATIENCE, check_size, deadline_of, panic_fault, timeout_fault};
use super::canonical::canonical_args;
use super::paths::FUNCTIONS;
use super::shared::FunctionShared;
use super::threads::{HandlerEnd, HandlerOutput, HandlerPlace};
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
            return Err(panic_fault(shared, &FUNCTIONS, &registration.meta, &invocation.name, panic));
        }
    }
    Ok(LiveQuery { args: canonical_args(&invocation.args), refresh: options.refresh })
}

/// Runs the query on `db` until its own time limit or the deadline of the invocation.
pub(super) async fn run(shared: &FunctionShared, invocation: Invocation, db: Db) -> LiveRun {
    let Some(registration) = shared.find(&invocation.name) else {
        return LiveRun { answer: Err(shared.unknown(&invocation.name)), observed: Observed::Nothing };
    };
    let began = Instant::now();
    let deadline = deadline_of(&registration.meta, &invocation, began);
    let entry = shared.in_flight.enter(invocation.id, &invocation.name, began);
    let place = Arc::new(HandlerPlace { entry, permit: Permit::unlimited() });
    let span = tracing::info_span!(
        "live",
        handler = %invocation.name,
        trace_id = %invocation.trace.trace_id_hex(),
    );
    let (name, invocation) = (Arc::clone(&invocation.name), Arc::new(invocation));
    let services = Arc::clone(&shared.services);
    let (after_commit, no_place) = (AfterCommit::default(), Weak::new());
    let scope = CallScope::new(Arc::clone(&invocation), 0, deadline, after_commit, services, no_place);
    let running = run_handler(registration, invocation, scope.clone(), db);
    let mut handler = span.in_scope(|| shared.threads.run(&registration.meta, place, Box::pin(running)));
    let ended = match tokio::time::timeout_at(deadline.into(), handler.ended()).await {
        Ok(ended) => Some(ended),
        // What the handler returns now is late.
        Err(_) => handler.cut(CUT_PATIENCE).await.filter(|ended| matches!(ended, HandlerEnd::Panicked(_))),
    };
    let answer = match ended {
        // A handler that blocked its thread until now cannot be cut, but it is late all the same.
        Some(HandlerEnd::Returned(Ok(_))) if Instant::now() > deadline => None,
        Some(HandlerEnd::Returned(answer)) => Some(answer),
        Some(HandlerEnd::Panicked(panic)) => {
            Some(Err(panic_fault(shared, &FUNCTIONS, &registration.meta, &name, panic)))
        }
        Some(HandlerEnd::Cut) | None => None,
    };
    let answer = answer.unwrap_or_else(|| Err(timeout_fault(&registration.meta, &name)));
    LiveRun { answer, observed: scope.observed() }
}

async fn run_handler(
    registration: &'static Registration,
    invocation: Arc<Invocation>,
    scope: CallScope,
    db: Db,
) -> HandlerOutput {
    match registration.decode(&invocation.args)? {
        Decoded::Query(message) => message.run(scope, QueryResources { db }).await,
        Decoded::Mutation(_) | Decoded::Action(_) | Decoded::Job(_) => {
            Err(Fault::internal("only a query runs as a live query"))
        }
    }
}
