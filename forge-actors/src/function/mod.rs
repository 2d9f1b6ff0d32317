//! Runs queries, mutations, actions and the attempts of jobs: admission, transaction, time limit, retry,
//! containment of panics.
//!
//! ```text
//! call ──refused──▶ NOT_FOUND · UNAUTHENTICATED · PERMISSION_DENIED · PAYLOAD_TOO_LARGE · UNAVAILABLE ·
//!   │ admitted        BAD_REQUEST · OVERLOADED
//!   ▼
//! running: arguments decoded ──do not fit──▶ VALIDATION · BAD_REQUEST
//!   │ ▲
//!   │ └─ lost a race: queries and mutations again from the start, CALL_TRIES_MAX times in all
//!   ├──ok──▶ committed ──▶ answered
//!   ├──fault · panic──▶ rolled back ──▶ answered
//!   └──deadline · drain · caller gone (queries only)──▶ cancelled in Postgres, rolled back
//! ```
//!
//! Handlers, and nothing else, run on threads of their own (`threads`), which they may block; all that is
//! around them (admission, transaction, time limit) goes on meanwhile.
//!
//! Mutations and actions run in tasks of their own, which the actor `calls` drains. A query leaves nothing
//! behind when it is dropped half-way, so it runs in its caller's task and ends with that task. A
//! `TaskTracker` counts both. The actor closes it when it stops, which refuses new calls; it waits for the
//! running ones, and cancels those that still run at the end of its drain. Callers use [`Functions`] without
//! sending a message to the actor, because a hop through one mailbox for every request would limit the whole
//! node.
//!
//! Live queries and attempts of jobs are not admitted here: the reactor brings the snapshot of a live query
//! and limits how many run, and the workers limit how many jobs run.
//!
//! Invariants
//! - A call that writes is never dropped half-way, so a caller that disconnects leaves no transaction open.
//! - A mutation answers `Ok` only after Postgres has confirmed its commit.
//! - A panic ends one call.
//! - A handler that blocks its thread holds up other handlers at most. The actor `calls` names it in the log.
//! - A call whose handler never got a thread is refused with `OVERLOADED`, and its handler never runs. While
//!   all threads are blocked (`stall`), the node is not ready; calls of the application's handlers from
//!   outside are refused without waiting for a thread, and calls that handlers make wait until their time
//!   limit.

mod access;
mod admission;
mod attempt;
mod call;
mod calls;
mod canonical;
pub mod config;
mod faults;
mod handler_run;
mod idempotency;
mod inflight;
mod key_expiry;
mod live;
pub mod paths;
mod refused_value;
mod shared;
pub mod signals;
mod stall;
mod startable;
pub mod subsystem;
mod threads;
mod transaction_shares;
mod workflow_run;

use std::io;
use std::num::NonZero;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::app::blocking::BlockingPool;
use crate::app::context::{Invoke, RecordInTransaction, Services};
use crate::app::dispatch::job_of;
use crate::app::job::{JobHandler, RunningAttempt};
use crate::app::new_job::NewJob;
use crate::app::secret::names_only;
use crate::app::startable::StartableWorkflow;
use crate::app::workflow::saga::CompensationEnd;
use crate::app::workflow_run::ActiveRun;
use crate::app::workflow_run::new_run::NewRun;
use crate::app::{Catalog, Registration};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Identity, Invocation};
use crate::leader::{Term, expiry};
use crate::subsystem::ActorPath;
use crate::supervise::{ChildSpec, Strategy, SupervisorSpec, Tree};

use access::authorize;
use admission::Admission;
pub use attempt::AttemptResult;
use call::CallOrigin;
use calls::Calls;
use config::FunctionConfig;
use faults::stopping_fault;
use idempotency::KeyTurns;
pub use inflight::InFlightCall;
use inflight::InFlightTable;
use key_expiry::OldKeys;
pub use live::{LiveLimits, LiveQuery, LiveRun};
use paths::{FUNCTIONS, KEY_EXPIRY};
use shared::FunctionShared;
use stall::ThreadStall;
use startable::{run_by_name, startable};
use threads::HandlerThreads;
use transaction_shares::TransactionShares;
pub use workflow_run::FunctionEnd;

#[cfg(test)]
mod tests;

/// Runs handlers. Cheap to clone; every clone is a handle of the same subsystem.
#[derive(Clone)]
pub struct Functions {
    shared: Arc<FunctionShared>,
}

/// What the function subsystem needs of the node, besides the catalog.
pub struct FunctionDeps {
    /// Handlers read and write here.
    pub database: Database,
    /// Panics of handlers are written to the journal of this tree.
    pub tree: Arc<Tree>,
    /// Commits are announced here.
    pub hints: HintHub,
    /// Terms of [`MAINTENANCE`](crate::leader::MAINTENANCE): its leader deletes old idempotency keys.
    pub terms: watch::Receiver<Option<Term>>,
    /// Section `[functions]`.
    pub config: FunctionConfig,
}

/// Calls of the application's handlers that have ended since the node started. Those of the node's own, which
/// the dashboard calls, are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCounts {
    /// Calls from outside, calls that actions and jobs make, and attempts of jobs. Runs of live queries and
    /// calls inside of a transaction are not counted.
    pub calls: u64,
    /// Calls that failed by the node's fault: panics, time limits, internal errors.
    pub errors: u64,
}

impl Functions {
    /// Makes the subsystem and its supervisor, which the caller puts under another one. `services` makes what
    /// contexts hand out to handlers; it gets the invoker of this subsystem, since contexts call handlers,
    /// and the pool of their blocking work. Must run on the runtime of the node.
    ///
    /// # Errors
    /// When the threads of the handlers cannot be started.
    pub fn new(
        catalog: Arc<Catalog>,
        deps: FunctionDeps,
        services: impl FnOnce(Arc<dyn Invoke>, BlockingPool) -> Services,
    ) -> io::Result<(Self, ChildSpec)> {
        let threads = HandlerThreads::start(deps.config.threads.map(NonZero::get))?;
        let names = || catalog.iter().map(|(name, _)| name);
        let blocking = BlockingPool::new(deps.config.blocking_max, deps.config.shares(), names())?;
        let transactions = TransactionShares::new(deps.database.config(), names());
        let shared = Arc::new_cyclic(|shared| FunctionShared {
            admission: Admission::new(&deps.config, &catalog),
            transactions,
            metrics: signals::for_catalog(&catalog),
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            catalog,
            database: deps.database,
            services: Arc::new(services(Arc::new(WeakInvoker(Weak::clone(shared))), blocking)),
            tree: deps.tree,
            hints: deps.hints,
            config: deps.config,
            key_turns: KeyTurns::default(),
            threads,
            stall: watch::Sender::new(None),
            in_flight: InFlightTable::default(),
            tasks: TaskTracker::new(),
            cancel: watch::Sender::new(false),
        });
        let children = vec![
            Calls::spec(Arc::clone(&shared)),
            expiry(&KEY_EXPIRY, shared.database.clone(), deps.terms, OldKeys),
        ];
        let supervisor = SupervisorSpec::new(Strategy::OneForOne, children);
        Ok((Self { shared }, ChildSpec::supervisor(FUNCTIONS.id(), supervisor)))
    }

    /// The handlers.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.shared.catalog
    }

    /// Counts the calls that have ended.
    pub fn counts(&self) -> CallCounts {
        CallCounts { calls: self.shared.calls.load(Relaxed), errors: self.shared.errors.load(Relaxed) }
    }

    /// Whether all threads of handlers are blocked.
    fn stall(&self) -> watch::Receiver<Option<ThreadStall>> {
        self.shared.stall.subscribe()
    }

    /// The calls that run now.
    pub fn in_flight(&self) -> Vec<InFlightCall> {
        self.shared.in_flight.list()
    }

    /// The largest result of a handler, in bytes.
    pub fn result_bytes_max(&self) -> usize {
        self.shared.config.result_bytes_max
    }

    /// How long a node that stops waits for running calls.
    pub fn drain_timeout(&self) -> Duration {
        self.shared.config.drain_timeout
    }

    /// Runs handlers without checking the caller's access: for callers that have checked it themselves. The
    /// invoker holds a weak reference, and answers `UNAVAILABLE` once the subsystem is dropped.
    pub fn invoker(&self) -> Arc<dyn Invoke> {
        Arc::new(WeakInvoker(Arc::downgrade(&self.shared)))
    }

    /// Runs a call from outside the node.
    ///
    /// # Errors
    /// Checked in this order: there is no such function (`NOT_FOUND`), the caller may not call it
    /// (`UNAUTHENTICATED`, `PERMISSION_DENIED`), its arguments are too large (`PAYLOAD_TOO_LARGE`), the node
    /// is stopping (`UNAVAILABLE`), an action has an idempotency key (`BAD_REQUEST`), the node is full, all
    /// its threads are blocked, or the function or the caller is at its limit
    /// (`OVERLOADED`), its arguments do not fit
    /// (`VALIDATION`, or `BAD_REQUEST` when they are no object); then whatever the handler fails with.
    pub async fn call(&self, invocation: Invocation) -> Result<Bytes, Fault> {
        self.submit(invocation).await.0
    }

    /// Runs [`call`](Self::call) and also returns the receipt of its commit, which is empty unless a mutation
    /// has written something.
    pub async fn submit(&self, invocation: Invocation) -> (Result<Bytes, Fault>, Receipt) {
        match self.accessible(&invocation) {
            Ok(registration) => {
                let origin = CallOrigin::Call { depth: 0 };
                call::admit_and_run(&self.shared, registration, invocation, origin).await
            }
            Err(fault) => (Err(fault), Receipt::default()),
        }
    }

    /// Checks a subscription as [`call`](Self::call) checks a call: the handler exists and is a query, the
    /// caller may call it, the arguments fit.
    pub fn prepare_live(&self, invocation: &Invocation) -> Result<LiveQuery, Fault> {
        live::prepare(&self.shared, self.accessible(invocation)?, invocation)
    }

    /// Runs a query that [`prepare_live`](Self::prepare_live) accepted on `db`, within `limits`. A statement
    /// of a query that is cancelled there may still be running.
    pub async fn run_live(&self, invocation: Invocation, db: Db, limits: LiveLimits) -> LiveRun {
        live::run(&self.shared, invocation, db, limits).await
    }

    /// Spawns a task on the threads of handlers, in which [`attempt`](Self::attempt) is to be called.
    pub fn spawn_attempts<T: Send + 'static>(
        &self,
        attempts: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.shared.threads.spawn(attempts)
    }

    /// Runs the handler of a job once, in the present task and without a permit of admission: workers limit
    /// how many run. `runner` is the actor below which a panic is recorded. `running` is what the handler's
    /// context sees of it. `held` is dropped with the handler. The attempt ends when `interrupted` completes
    /// or the returned future is dropped.
    pub async fn attempt(
        &self,
        runner: &'static ActorPath,
        invocation: Invocation,
        running: Arc<dyn RunningAttempt>,
        held: impl Send + 'static,
        interrupted: impl Future<Output = ()>,
    ) -> AttemptResult {
        attempt::run(&self.shared, runner, invocation, running, held, interrupted).await
    }

    /// Executes the function of a workflow, in the present task, which
    /// [`spawn_attempts`](Self::spawn_attempts) has spawned, until it ends, only waits, or `interrupted`
    /// completes. `registration` is its version of the workflow, `runner` the actor below which a panic is
    /// recorded.
    pub async fn workflow(
        &self,
        runner: &'static ActorPath,
        registration: &'static Registration,
        invocation: Invocation,
        run: Arc<ActiveRun>,
        interrupted: impl Future<Output = ()>,
    ) -> FunctionEnd {
        workflow_run::run(&self.shared, runner, registration, invocation, run, interrupted).await
    }

    /// Runs the compensations that the function of a run has registered, in the present task.
    ///
    /// # Errors
    /// When the database refuses a row of the journal.
    pub async fn compensate(
        &self,
        runner: &'static ActorPath,
        registration: &'static Registration,
        invocation: Invocation,
        run: Arc<ActiveRun>,
    ) -> Result<CompensationEnd, Fault> {
        workflow_run::run_compensations(&self.shared, runner, registration, invocation, run).await
    }

    /// Finds the handler, and checks that the caller may call it from outside.
    fn accessible(&self, invocation: &Invocation) -> Result<&'static Registration, Fault> {
        let registration =
            self.shared.find(&invocation.name).ok_or_else(|| self.shared.unknown(&invocation.name))?;
        authorize(&self.shared.catalog, &registration.meta, invocation)?;
        Ok(registration)
    }
}

/// The subsystem as contexts call it. The reference is weak, because the subsystem owns the contexts'
/// services and would otherwise own itself.
struct WeakInvoker(Weak<FunctionShared>);

impl WeakInvoker {
    fn run(&self, invocation: Invocation, origin: CallOrigin) -> BoxFuture<'static, Result<Bytes, Fault>> {
        let shared = self.0.upgrade();
        Box::pin(async move {
            let shared = shared.ok_or_else(stopping_fault)?;
            let registration =
                shared.find(&invocation.name).ok_or_else(|| shared.unknown(&invocation.name))?;
            call::admit_and_run(&shared, registration, invocation, origin).await.0
        })
    }
}

impl Invoke for WeakInvoker {
    fn invoke(&self, invocation: Invocation, depth: u32) -> BoxFuture<'static, Result<Bytes, Fault>> {
        self.run(invocation, CallOrigin::Call { depth })
    }

    fn invoke_step(
        &self,
        invocation: Invocation,
        depth: u32,
        record: Option<Arc<dyn RecordInTransaction>>,
    ) -> BoxFuture<'static, Result<Bytes, Fault>> {
        self.run(invocation, CallOrigin::Step { depth, record })
    }

    fn shown_arguments(&self, name: &str, args: &str) -> String {
        match self.0.upgrade().and_then(|shared| shared.find(name)) {
            Some(registration) => registration.shown_arguments(args),
            // Another binary may know what is secret in them.
            None => names_only(args),
        }
    }

    fn workflow_versions(&self, name: &str) -> Vec<u32> {
        let Some(shared) = self.0.upgrade() else { return Vec::new() };
        let known = shared.catalog.workflows().filter(|(known, ..)| *known == name);
        known.map(|(_, version, _)| version).collect()
    }

    fn startable_workflows(&self) -> Vec<StartableWorkflow> {
        self.0.upgrade().map_or_else(Vec::new, |shared| startable(&shared.catalog))
    }

    fn run_by_name(&self, name: &str, version: Option<u32>, args: &str) -> Result<NewRun, Fault> {
        let shared = self.0.upgrade().ok_or_else(stopping_fault)?;
        run_by_name(&shared.catalog, name, version, args)
    }

    fn job_handlers(&self) -> Arc<[JobHandler]> {
        self.0.upgrade().map_or_else(Arc::default, |shared| shared.catalog.job_handlers())
    }

    fn shown_result(&self, name: &str, result: &str) -> String {
        match self.0.upgrade().and_then(|shared| shared.find(name)) {
            Some(registration) => registration.shown_result(result),
            None => names_only(result),
        }
    }

    fn job_by_name(&self, name: &str, args: String, identity: Option<&Identity>) -> Result<NewJob, Fault> {
        let shared = self.0.upgrade().ok_or_else(stopping_fault)?;
        let known = shared.find(name).filter(|known| known.meta.job_meta().is_some()).ok_or_else(|| {
            let message = format!("the binary of this node has no job `{name}`");
            Fault::new(Code::Conflict, message).with_details(serde_json::json!({ "handler": name }))
        })?;
        if known.meta.cron_meta().is_some() {
            let message = format!("`{name}` is a cron: its runs come from its schedule, or from `cron run`");
            return Err(
                Fault::new(Code::Conflict, message).with_details(serde_json::json!({ "handler": name }))
            );
        }
        known.decode(args.as_bytes())?;
        job_of(&known.meta, args, identity)
    }
}
