//! The context that a handler gets: what it may touch, as a type.
//!
//! `Ctx<K>` has the methods that kind `K` is entitled to (see [`kind`](crate::app::kind)). Called handlers
//! share the caller's identity, trace and deadline; from a query or a mutation they also share its snapshot
//! or transaction, in a subtransaction of their own, so that a failed call which the caller survives leaves
//! no half of its writes behind.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::auth::Auth;
use crate::app::blocking::BlockingPool;
use crate::app::cron::BeginCronRun;
use crate::app::job::JobHandler;
use crate::app::job_buffer::BufferJob;
use crate::app::job_end::AwaitJobEnd;
use crate::app::kind::{
    Action, CallsOut, Cron, HasDatabase, Job, Kind, Mutation, Query, WaitsForCores, Workflow,
};
use crate::app::log::{Log, Metrics};
use crate::app::new_job::{InsertJob, NewJob};
use crate::app::node::NodeView;
use crate::app::startable::StartableWorkflow;
use crate::app::token::Tokens;
use crate::app::workflow_run::new_run::{NewRun, StartRun};
use crate::db::handle::Db;
use crate::kernel::fair_limit::CallPlace;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::limits;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::Timestamp;
use crate::kernel::trace::TraceContext;

/// Context of a query.
pub type QueryContext = Ctx<Query>;
/// Context of a mutation.
pub type MutationContext = Ctx<Mutation>;
/// Context of an action.
pub type ActionContext = Ctx<Action>;
/// Context of a job.
pub type JobContext = Ctx<Job>;
/// Context of a cron.
pub type CronContext = Ctx<Cron>;
/// Context of a workflow.
pub type WorkflowContext = Ctx<Workflow>;

/// What a handler may touch.
pub struct Ctx<K: Kind> {
    /// Writes to the node's log, under this call's trace.
    pub log: Log,
    /// Counts and measures, labelled with this handler's name.
    pub metrics: Metrics,
    pub(super) scope: CallScope,
    pub(super) resources: K::Resources,
}

/// What a node gives to its handlers.
pub struct Services {
    /// What the node's own handlers report on.
    pub node: NodeView,
    /// Runs a handler by name.
    pub invoke: Arc<dyn Invoke>,
    /// Writes dispatched jobs into their table.
    pub jobs: Arc<dyn InsertJob>,
    /// Waits for ends of jobs.
    pub job_ends: Arc<dyn AwaitJobEnd>,
    /// Writes started runs and emitted events into their tables.
    pub workflows: Arc<dyn StartRun>,
    /// Keeps dispatched jobs while the database is away.
    pub job_buffer: Arc<dyn BufferJob>,
    /// Notes that runs of crons begin.
    pub crons: Arc<dyn BeginCronRun>,
    /// Signs and verifies tokens; `None` when no secret is configured.
    pub tokens: Option<Tokens>,
    /// For actions.
    pub http: reqwest::Client,
    /// Runs what needs a core for long.
    pub blocking: BlockingPool,
    /// Bytes of a handler's result, as JSON.
    pub result_bytes_max: usize,
}

/// Runs invocations. The function subsystem implements it, so that contexts need not import that subsystem.
pub trait Invoke: Send + Sync + 'static {
    /// Runs one to its end. `depth` counts the calls around it.
    fn invoke(&self, invocation: Invocation, depth: u32) -> BoxFuture<'static, Result<Bytes, Fault>>;

    /// As [`invoke`](Self::invoke), as a step of a workflow, whose subsystem limits how many of them run. In
    /// the transaction of a mutation `record` writes, after the handler and before the commit; when that
    /// fails, nothing is committed.
    fn invoke_step(
        &self,
        invocation: Invocation,
        depth: u32,
        record: Option<Arc<dyn RecordInTransaction>>,
    ) -> BoxFuture<'static, Result<Bytes, Fault>>;

    /// Stored arguments of the handler `name`, as people may see them.
    fn shown_arguments(&self, name: &str, args: &str) -> String;

    /// The versions of a workflow that this binary has code for.
    fn workflow_versions(&self, name: &str) -> Vec<u32>;

    /// The workflows that this binary has code for, by name.
    fn startable_workflows(&self) -> Vec<StartableWorkflow>;

    /// The run of a workflow with these arguments, a JSON object; of its newest version that is not
    /// deprecated, where none is given.
    fn run_by_name(&self, name: &str, version: Option<u32>, args: &str) -> Result<NewRun, Fault>;

    /// What runs as a job, by name, with the aliases.
    fn job_handlers(&self) -> Arc<[JobHandler]>;

    /// The stored result of a job of the handler `name`, as people may see it.
    fn shown_result(&self, name: &str, result: &str) -> String;

    /// The job that runs the handler `name` with these stored arguments, in the name of `identity`.
    fn job_by_name(&self, name: &str, args: String, identity: Option<&Identity>) -> Result<NewJob, Fault>;
}

/// Writes something in the transaction of a mutation.
pub trait RecordInTransaction: Send + Sync + 'static {
    /// Writes on `db` that the handler has returned `output`, as JSON.
    fn record<'a>(&'a self, db: &'a Db, output: &'a Bytes) -> BoxFuture<'a, Result<(), Fault>>;
}

/// One call's identity, trace and deadline, shared with the calls inside it.
#[derive(Clone)]
pub struct CallScope {
    pub(super) shared: Arc<SharedScope>,
    pub(super) depth: u32,
}

/// What a call asked for that happens after its commit. Clones share one list.
#[derive(Clone, Default)]
pub struct AfterCommit {
    queues: Arc<MergeSlot<BTreeSet<Arc<str>>>>,
}

impl AfterCommit {
    /// Notes that the commit brings work to this queue.
    pub(crate) fn wake(&self, queue: &str) {
        self.queues.put(|queues| {
            queues.get_or_insert_default().insert(queue.into());
        });
    }

    /// Takes the queues that got work: their workers are woken after the commit.
    pub fn take_queues(&self) -> BTreeSet<Arc<str>> {
        self.queues.try_take().unwrap_or_default()
    }
}

/// What a call has asked about its caller. What it did not ask about cannot have shaped its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Observed {
    /// Nothing: the result is the same for every caller.
    Nothing,
    /// The identity of the caller, or the keys of tokens.
    Identity,
    /// Also the connection of the caller: address, user agent.
    Connection,
}

pub(super) struct SharedScope {
    pub(super) invocation: Arc<Invocation>,
    started: Timestamp,
    pub(super) deadline: Instant,
    pub(super) after_commit: AfterCommit,
    /// An [`Observed`].
    observed: AtomicU8,
    pub(super) services: Arc<Services>,
    /// The call's place among the calls of the node, while the call runs.
    pub(super) place: Weak<CallPlace>,
}

impl CallScope {
    /// The scope of an invocation that ends at `deadline`. `place` is what the call gives up while it waits
    /// for a core.
    pub fn new(
        invocation: Arc<Invocation>,
        depth: u32,
        deadline: Instant,
        after_commit: AfterCommit,
        services: Arc<Services>,
        place: Weak<CallPlace>,
    ) -> Self {
        let observed = AtomicU8::new(Observed::Nothing as u8);
        let shared = SharedScope {
            invocation,
            started: chrono::Utc::now(),
            deadline,
            after_commit,
            observed,
            services,
            place,
        };
        Self { shared: Arc::new(shared), depth }
    }

    /// What the call, with those inside it, has asked for so far.
    pub fn observed(&self) -> Observed {
        match self.shared.observed.load(Ordering::Acquire) {
            0 => Observed::Nothing,
            1 => Observed::Identity,
            _ => Observed::Connection,
        }
    }

    fn observe(&self, what: Observed) {
        self.shared.observed.fetch_max(what as u8, Ordering::AcqRel);
    }

    /// The same scope with an earlier deadline.
    pub(super) fn until(&self, deadline: Instant) -> Self {
        let SharedScope { invocation, started, after_commit, services, place, .. } = &*self.shared;
        let shared = SharedScope {
            invocation: Arc::clone(invocation),
            started: *started,
            deadline: self.shared.deadline.min(deadline),
            after_commit: after_commit.clone(),
            observed: AtomicU8::new(Observed::Nothing as u8),
            services: Arc::clone(services),
            place: Weak::clone(place),
        };
        Self { shared: Arc::new(shared), depth: self.depth }
    }

    pub(super) fn deeper(&self) -> Result<Self, Fault> {
        if self.depth >= limits::CALL_DEPTH_MAX {
            let message =
                format!("calls are nested {} deep: a handler probably calls itself", limits::CALL_DEPTH_MAX);
            return Err(Fault::internal(message));
        }
        Ok(Self { shared: Arc::clone(&self.shared), depth: self.depth + 1 })
    }
}

impl<K: Kind> Ctx<K> {
    pub(crate) fn new(scope: CallScope, resources: K::Resources) -> Self {
        let name = &scope.shared.invocation.name;
        let log = Log::new(name, K::line_keeper(&resources));
        Self { log, metrics: Metrics::new(name), scope, resources }
    }

    /// The identity of the caller. A live query that calls this runs once for each identity; one that does
    /// not runs once for all subscribers.
    pub fn auth(&self) -> Auth<'_> {
        self.scope.observe(Observed::Identity);
        Auth::new(&self.scope.shared.invocation.caller)
    }

    /// Where the call came from and which trace it belongs to.
    pub fn request(&self) -> Request<'_> {
        Request { scope: &self.scope }
    }

    /// When the call began, by this node's clock; the same for the whole call. What must agree between nodes
    /// belongs into SQL, as `now()`. In a workflow it is the time at which the last step of the branch ended,
    /// the same each time the run comes to this place.
    pub fn now(&self) -> Timestamp {
        K::now(&self.resources).unwrap_or(self.scope.shared.started)
    }

    /// Stored arguments of the handler `name`, as people may see them.
    pub(crate) fn shown_arguments(&self, name: &str, args: &str) -> String {
        self.scope.shared.services.invoke.shown_arguments(name, args)
    }

    pub(crate) fn job_handlers(&self) -> Arc<[JobHandler]> {
        self.scope.shared.services.invoke.job_handlers()
    }

    /// The stored result of a job of the handler `name`, as people may see it.
    pub(crate) fn shown_result(&self, name: &str, result: &str) -> String {
        self.scope.shared.services.invoke.shown_result(name, result)
    }

    /// The versions of a workflow that this binary has code for.
    pub(crate) fn workflow_versions(&self, name: &str) -> Vec<u32> {
        self.scope.shared.services.invoke.workflow_versions(name)
    }

    /// The workflows that this binary has code for, by name.
    pub(crate) fn startable_workflows(&self) -> Vec<StartableWorkflow> {
        self.scope.shared.services.invoke.startable_workflows()
    }

    /// How long runs that have ended are kept, unless their workflow says otherwise.
    pub(crate) fn run_retention(&self) -> Duration {
        self.scope.shared.services.workflows.retention()
    }

    pub(crate) fn node(&self) -> &NodeView {
        &self.scope.shared.services.node
    }

    /// Signs tokens for callers, for example at sign-in.
    ///
    /// # Errors
    /// `INTERNAL` when the node has no `auth.secret`.
    pub fn tokens(&self) -> Result<&Tokens, Fault> {
        self.scope.observe(Observed::Identity);
        self.scope
            .shared
            .services
            .tokens
            .as_ref()
            .ok_or_else(|| Fault::internal("no `auth.secret` is configured, so no token can be signed"))
    }
}

/// What only some kinds may do. The bounds stand on the methods: there rustc shows the messages of
/// [`HasDatabase`], [`WaitsForCores`] and [`CallsOut`].
impl<K: Kind> Ctx<K> {
    /// The database, as an executor for sqlx: a query's refuses writes, a mutation's is its transaction. A
    /// job's runs each statement as a transaction of its own, and again when the job runs again; several
    /// statements that belong together, or one that may happen only once, belong into
    /// [`commit`](Ctx::commit).
    ///
    /// Collect a stream before the next statement or call: one session runs one statement at a time.
    pub fn db(&self) -> &Db
    where
        K: HasDatabase,
    {
        K::db(&self.resources)
    }

    /// Runs `work`, which computes for longer than a millisecond or blocks its thread, outside of the threads
    /// that answer requests: on a thread of its own with a lower priority. As many run at a time as the
    /// machine has cores, less one (at least one). The call gives up its place among the calls of the node
    /// meanwhile. Work that has begun runs to its end, also when the call ends earlier.
    ///
    /// A panic of `work` is a panic of the handler.
    ///
    /// # Errors
    /// `OVERLOADED` when too much work waits already (`functions.blocking_max`).
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> BoxFuture<'_, Result<T, Fault>>
    where
        K: WaitsForCores,
    {
        // Boxed, because rustc reports the bound of an async function three times.
        let scope = &self.scope.shared;
        Box::pin(async move {
            let _vacated = scope.place.upgrade().map(CallPlace::vacate);
            scope.services.blocking.run(&scope.invocation.name, scope.invocation.caller.key(), work).await
        })
    }

    /// An HTTP client. Set the time limit from [`Request::remaining`], and mind that a retried request runs
    /// twice.
    pub fn http(&self) -> &reqwest::Client
    where
        K: CallsOut,
    {
        &self.scope.shared.services.http
    }
}

/// Where a call came from.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    scope: &'a CallScope,
}

impl<'a> Request<'a> {
    fn invocation(&self) -> &'a Invocation {
        &self.scope.shared.invocation
    }

    /// The caller. The call counts as one that asked about its connection.
    fn peer(&self) -> &'a Caller {
        self.scope.observe(Observed::Connection);
        &self.invocation().caller
    }

    /// Names the request, as in `X-Request-Id`.
    pub fn id(&self) -> RequestId {
        self.invocation().id
    }

    /// The trace; its `Display` is the `traceparent` header for a call to elsewhere.
    pub fn trace(&self) -> TraceContext {
        self.invocation().trace
    }

    /// Address of the peer, when the call came over a network. A live query that asks for it runs for each
    /// client apart.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.peer().ip
    }

    /// Its `User-Agent`. A live query that asks for it runs for each client apart.
    pub fn user_agent(&self) -> Option<&'a str> {
        self.peer().user_agent.as_deref()
    }

    /// Wire name of the handler that was called from outside.
    pub fn function(&self) -> &'a str {
        &self.invocation().name
    }

    /// The caller, for passing it on. A live query that asks for it runs for each client apart.
    pub fn caller(&self) -> &'a Caller {
        self.peer()
    }

    /// How long the call may still run before its time limit.
    pub fn remaining(&self) -> std::time::Duration {
        self.scope.shared.deadline.saturating_duration_since(Instant::now())
    }
}
