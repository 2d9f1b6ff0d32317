//! The context that a handler gets: what it may touch, as a type.
//!
//! `Ctx<K>` has the methods that kind `K` is entitled to (see [`kind`](crate::app::kind)). Called handlers
//! share the caller's identity, trace and deadline; from a query or a mutation they also share its snapshot
//! or transaction, in a subtransaction of their own, so that a failed call which the caller survives leaves
//! no half of its writes behind.

use std::collections::BTreeSet;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::auth::Auth;
use crate::app::dispatch::InsertJob;
use crate::app::error::CallError;
use crate::app::handler::Handler;
use crate::app::job::CompleteInTransaction;
use crate::app::kind::{Action, CallsOut, HasDatabase, Job, Kind, KindName, MayCall, Mutation, Query};
use crate::app::log::{Log, Metrics};
use crate::app::node::NodeView;
use crate::app::token::Tokens;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Invocation};
use crate::kernel::limits;
use crate::kernel::slot::Slot;
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

/// What a handler may touch.
pub struct Ctx<K: Kind> {
    /// Writes to the node's log, under this call's trace.
    pub log: Log,
    /// Counts and measures, labelled with this handler's name.
    pub metrics: Metrics,
    pub(super) scope: Scope,
    pub(super) db: Option<Db>,
    kind: PhantomData<fn() -> K>,
}

/// What a node gives to its handlers.
pub struct Services {
    /// What the node's own handlers report on.
    pub node: NodeView,
    /// Runs a handler by name.
    pub invoke: Arc<dyn Invoke>,
    /// Writes dispatched jobs into their table.
    pub jobs: Arc<dyn InsertJob>,
    /// Signs and verifies tokens; `None` when no secret is configured.
    pub tokens: Option<Tokens>,
    /// For actions.
    pub http: reqwest::Client,
}

/// Runs invocations. The function subsystem implements it, so that contexts need not import that subsystem.
pub trait Invoke: Send + Sync + 'static {
    /// Runs one to its end. `depth` counts the calls around it.
    fn invoke(&self, invocation: Invocation, depth: u32) -> BoxFuture<'static, Result<Bytes, Fault>>;
}

/// One call's identity, trace and deadline, shared with the calls inside it.
#[derive(Clone)]
pub struct Scope {
    pub(super) shared: Arc<Shared>,
    /// The attempt that a job's handler runs in; calls inside of it have none.
    pub(super) attempt: Option<Arc<dyn CompleteInTransaction>>,
    depth: u32,
}

/// What a call asked for that happens when it commits. A clone is the same.
#[derive(Clone, Default)]
pub struct Effects {
    queues: Arc<Slot<BTreeSet<Arc<str>>>>,
}

impl Effects {
    /// There will be work in this queue.
    pub(crate) fn wake(&self, queue: &str) {
        self.queues.put(|queues| {
            queues.get_or_insert_default().insert(queue.into());
        });
    }

    /// The queues that got work since the last look: their workers are woken after the commit.
    pub fn take_queues(&self) -> BTreeSet<Arc<str>> {
        self.queues.try_take().unwrap_or_default()
    }
}

/// What of its caller a call asked for. What it did not ask for cannot have shaped its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Observed {
    /// Nothing: the answer is everybody's.
    Nothing,
    /// Who calls, or the means to find out.
    Identity,
    /// Also from where: address, user agent.
    Peer,
}

pub(super) struct Shared {
    pub(super) invocation: Arc<Invocation>,
    started: Timestamp,
    pub(super) deadline: Instant,
    pub(super) effects: Effects,
    /// An [`Observed`].
    observed: AtomicU8,
    pub(super) services: Arc<Services>,
}

impl Scope {
    /// The scope of an invocation that ends at `deadline`.
    pub fn new(
        invocation: Arc<Invocation>,
        depth: u32,
        deadline: Instant,
        effects: Effects,
        services: Arc<Services>,
    ) -> Self {
        let observed = AtomicU8::new(Observed::Nothing as u8);
        let shared =
            Shared { invocation, started: chrono::Utc::now(), deadline, effects, observed, services };
        Self { shared: Arc::new(shared), attempt: None, depth }
    }

    /// What the call, with those inside it, has asked for so far.
    pub fn observed(&self) -> Observed {
        match self.shared.observed.load(Ordering::Acquire) {
            0 => Observed::Nothing,
            1 => Observed::Identity,
            _ => Observed::Peer,
        }
    }

    fn observe(&self, what: Observed) {
        self.shared.observed.fetch_max(what as u8, Ordering::AcqRel);
    }

    /// The same for a job's handler, in an attempt that [`Ctx::commit`] ends.
    pub fn attempting(self, attempt: Arc<dyn CompleteInTransaction>) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    pub(super) fn deeper(&self) -> Result<Self, Fault> {
        if self.depth >= limits::CALL_DEPTH_MAX {
            let message =
                format!("calls are nested {} deep: a handler probably calls itself", limits::CALL_DEPTH_MAX);
            return Err(Fault::internal(message));
        }
        Ok(Self { shared: Arc::clone(&self.shared), attempt: None, depth: self.depth + 1 })
    }
}

impl<K: Kind> Ctx<K> {
    pub(crate) fn new(scope: Scope, db: Option<Db>) -> Self {
        let name = &scope.shared.invocation.name;
        Self { log: Log::new(name), metrics: Metrics::new(name), scope, db, kind: PhantomData }
    }

    /// Who calls. A live query that asks runs once for each identity; one that does not runs once for all.
    pub fn auth(&self) -> Auth<'_> {
        self.scope.observe(Observed::Identity);
        Auth::new(&self.scope.shared.invocation.caller)
    }

    /// Where the call came from and which trace it belongs to.
    pub fn request(&self) -> Request<'_> {
        Request { scope: &self.scope }
    }

    /// When the call began, by this node's clock; the same for the whole call. What must agree between nodes
    /// belongs into SQL, as `now()`.
    pub fn now(&self) -> Timestamp {
        self.scope.shared.started
    }

    pub(crate) fn node(&self) -> &NodeView {
        &self.scope.shared.services.node
    }

    /// Signs tokens for callers, for example at sign-in. Fails when the node has no secret.
    pub fn tokens(&self) -> Result<&Tokens, Fault> {
        self.scope.observe(Observed::Identity);
        self.scope
            .shared
            .services
            .tokens
            .as_ref()
            .ok_or_else(|| Fault::internal("no `auth.secret` is configured, so no token can be signed"))
    }

    /// Runs another handler and waits for its answer. Its `role` and `internal` attributes guard the border,
    /// not this call.
    ///
    /// From a query or mutation the callee runs in the caller's snapshot or transaction; a query called by a
    /// mutation is still refused any write by Postgres. From an action each call is a transaction of its own.
    ///
    /// ```no_run
    /// # use forge_actors::app::{ActionContext, Handler, Kind, Query, Result};
    /// # async fn example<Get: Handler<Kind = Query, Output = String, Error = forge_actors::app::NoError>>(ctx: &ActionContext, get: Get) -> Result<usize> {
    /// let title = ctx.call(get).await?;
    /// Ok(title.len())
    /// # }
    /// ```
    pub fn call<H>(&self, message: H) -> impl Future<Output = Result<H::Output, CallError<H::Error>>> + Send
    where
        H: Handler,
        K: MayCall<H::Kind>,
    {
        // Boxed, so that handlers may call each other without an infinite type.
        let call: BoxFuture<'_, _> = match &self.db {
            Some(db) => Box::pin(self.call_inside(db, message)),
            None => Box::pin(self.call_outside(message)),
        };
        call
    }

    async fn call_inside<H: Handler>(&self, db: &Db, message: H) -> Result<H::Output, CallError<H::Error>> {
        let scope = self.scope.deeper().map_err(CallError::Fault)?;
        let nested = db.nested(H::Kind::NAME == KindName::Query).await.map_err(CallError::Fault)?;
        let ctx = Ctx::<H::Kind>::new(scope, Some(nested.db()));
        let running: BoxFuture<'_, _> = Box::pin(message.run(&ctx));
        match running.await {
            Ok(output) => nested.release().await.map(|()| output).map_err(CallError::Fault),
            Err(failure) => {
                nested.rollback().await.map_err(CallError::Fault)?;
                Err(CallError::from_fault(failure.into()))
            }
        }
    }

    async fn call_outside<H: Handler>(&self, message: H) -> Result<H::Output, CallError<H::Error>> {
        let scope = self.scope.deeper().map_err(CallError::Fault)?;
        let shared = &scope.shared;
        let args = serde_json::to_vec(&message).map_err(|error| CallError::Fault(Fault::internal(error)))?;
        let invocation = Invocation {
            id: shared.invocation.id,
            name: H::META.wire_name().into(),
            args: args.into(),
            caller: shared.invocation.caller.clone(),
            trace: shared.invocation.trace.child(),
            deadline: Some(shared.deadline),
            idempotency_key: None,
        };
        let output =
            shared.services.invoke.invoke(invocation, scope.depth).await.map_err(CallError::from_fault)?;
        serde_json::from_slice(&output).map_err(|error| CallError::Fault(Fault::internal(error)))
    }
}

/// What only some kinds may do. The bounds stand on the methods: there rustc shows the words of
/// [`HasDatabase`] and [`CallsOut`].
impl<K: Kind> Ctx<K> {
    /// The database, as an executor for sqlx: a query's refuses writes, a mutation's is its transaction.
    ///
    /// Collect a stream before the next statement or call: one session runs one statement at a time.
    pub fn db(&self) -> &Db
    where
        K: HasDatabase,
    {
        self.db.as_ref().expect("contexts of kinds with a database are only made with one")
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
    scope: &'a Scope,
}

impl<'a> Request<'a> {
    fn invocation(&self) -> &'a Invocation {
        &self.scope.shared.invocation
    }

    /// The caller, whose looks are noted.
    fn peer(&self) -> &'a Caller {
        self.scope.observe(Observed::Peer);
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

    /// Who calls, for passing it on. A live query that asks for it runs for each client apart.
    pub fn caller(&self) -> &'a Caller {
        self.peer()
    }

    /// How long the call may still run.
    pub fn remaining(&self) -> std::time::Duration {
        self.scope.shared.deadline.saturating_duration_since(Instant::now())
    }
}
