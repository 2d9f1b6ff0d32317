//! Live queries: access and arguments are checked once, when a client subscribes; the query runs as often as
//! the reactor asks, in the snapshot that the reactor brings.
//!
//! A run is contained as a call is: a panic, a failed statement or a time limit ends that run and nothing
//! else. It takes no place of a call: the reactor limits how many run.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use tracing::Instrument;

use super::call::{check_size, deadline_of, panic_fault, timeout_fault};
use super::canonical::canonical_args;
use super::inflight::InFlightCall;
use super::paths::FUNCTIONS;
use super::shared::FunctionShared;
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
    let _entry = shared.in_flight.enter(InFlightCall {
        request: invocation.id,
        name: Arc::clone(&invocation.name),
        since: began,
    });
    let span = tracing::info_span!(
        "live",
        handler = %invocation.name,
        trace_id = %invocation.trace.trace_id_hex(),
    );
    let name = Arc::clone(&invocation.name);
    let invocation = Arc::new(invocation);
    let services = Arc::clone(&shared.services);
    let (after_commit, place) = (AfterCommit::default(), Weak::new());
    let scope = CallScope::new(Arc::clone(&invocation), 0, deadline, after_commit, services, place);
    let handler_scope = scope.clone();
    // Dropping a handler that was cut runs application code too, which may panic: the handler is dropped
    // inside of this block.
    let running = async move {
        tokio::time::timeout_at(deadline.into(), run_handler(registration, invocation, handler_scope, db))
            .await
    };
    let answer = match catch_unwind(running).instrument(span).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(timeout_fault(&registration.meta, &name)),
        Err(panic) => Err(panic_fault(shared, &FUNCTIONS, &registration.meta, &name, panic)),
    };
    // A handler that blocks its thread cannot be cut, but it is late all the same.
    let late = answer.is_ok() && Instant::now() > deadline;
    let answer = if late { Err(timeout_fault(&registration.meta, &name)) } else { answer };
    LiveRun { answer, observed: scope.observed() }
}

async fn run_handler(
    registration: &Registration,
    invocation: Arc<Invocation>,
    scope: CallScope,
    db: Db,
) -> Result<Bytes, Fault> {
    match registration.decode(&invocation.args)? {
        Decoded::Query(message) => message.run(scope, QueryResources { db }).await,
        Decoded::Mutation(_) | Decoded::Action(_) | Decoded::Job(_) => {
            Err(Fault::internal("only a query runs as a live query"))
        }
    }
}
