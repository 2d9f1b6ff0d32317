//! A reactor over a scratch database, and clients that keep what is delivered to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forge_actors::app::context::Services;
use forge_actors::app::node::NodeView;
use forge_actors::app::{Catalog, Handler};
use forge_actors::change::HintHub;
use forge_actors::cron::begin::CronRunBeginner;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;
use forge_actors::function::config::FunctionConfig;
use forge_actors::function::{FunctionDeps, Functions};
use forge_actors::job::buffer::{BufferPlace, JobBuffer};
use forge_actors::job::dispatcher::JobInserter;
use forge_actors::job::ends::JobEnds;
use forge_actors::kernel::commit::Receipt;
use forge_actors::kernel::fault::Fault;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::invocation::{Caller, Identity, Invocation};
use forge_actors::reactor::config::ReactivityConfig;
use forge_actors::reactor::{
    Client, Delivery, MutationId, QueryResult, Reactor, ReactorDeps, Sink, SubscriptionId,
};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec, Tree};
use forge_actors::workflow::starter::WorkflowStarter;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::sync::{mpsc, watch};

use crate::store::cluster::{Scratch, execute};

/// Longer than anything here takes, also on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stage {
    pub(super) scratch: Scratch,
    pub(super) functions: Functions,
    pub(super) reactor: Reactor,
    pub(super) tree: Arc<Tree>,
    root: Root,
}

impl Stage {
    /// A migrated database in which `script` has run.
    pub(super) async fn open(script: &str) -> Self {
        Self::with(script, ReactivityConfig::default()).await
    }

    pub(super) async fn with(script: &str, config: ReactivityConfig) -> Self {
        Self::over(Scratch::new().await, script, config).await
    }

    pub(super) async fn over(scratch: Scratch, script: &str, config: ReactivityConfig) -> Self {
        let sets = system_sets();
        let runner = Runner { database: &scratch.database, sets: &sets, node: "test", lock_wait: PATIENCE };
        runner.up(None, |_| {}).await.unwrap();
        execute(&mut scratch.connect().await, script).await;
        let (tree, hints) = (Tree::new(), HintHub::new());
        let view = NodeView::new(NodeId::new(), "node", Arc::clone(&tree), &[]);
        let database = scratch.database.clone();
        let needs = FunctionDeps {
            database: database.clone(),
            tree: Arc::clone(&tree),
            hints: hints.clone(),
            terms: watch::channel(None).1,
            config: FunctionConfig::default(),
        };
        let catalog = Arc::new(Catalog::build().expect("the handlers of this binary"));
        let (inserter, inserter_child) = JobInserter::new(needs.database.clone(), needs.hints.clone());
        let (job_ends, _) = JobEnds::new(needs.database.clone(), needs.hints.clone());
        let (job_buffer, _) =
            JobBuffer::new(BufferPlace::none(), needs.database.clone(), needs.hints.clone());
        let (workflows, starter_child) = WorkflowStarter::new(needs.database.clone(), needs.hints.clone());
        let services = |invoke, blocking| Services {
            result_bytes_max: usize::MAX,
            node: view,
            invoke,
            jobs: Arc::new(inserter),
            job_ends: Arc::new(job_ends),
            job_buffer: Arc::new(job_buffer),
            workflows: Arc::new(workflows),
            crons: Arc::new(CronRunBeginner),
            tokens: None,
            http: reqwest::Client::new(),
            blocking,
        };
        let (functions, functions_child) = Functions::new(catalog, needs, services).expect("threads");
        let (reactor, reactor_child) =
            Reactor::new(ReactorDeps { functions: functions.clone(), database, hints, config });
        let spec = SupervisorSpec::new(
            Strategy::OneForOne,
            vec![inserter_child, starter_child, functions_child, reactor_child],
        );
        let root = Root::start("node", spec, Arc::clone(&tree)).await.expect("starts");
        Self { scratch, functions, reactor, tree, root }
    }

    /// Writes over a connection that Forge does not know.
    pub(super) async fn write(&self, sql: &str) {
        execute(&mut self.scratch.connect().await, sql).await;
    }

    /// Calls a handler.
    pub(super) async fn submit<H: Handler>(&self, message: H) -> (Result<Value, Fault>, Receipt) {
        let args = message.to_json().unwrap();
        let (answer, receipt) =
            self.functions.submit(Invocation::new(H::META.wire_name(), args, Caller::default())).await;
        (answer.map(|body| serde_json::from_slice(&body).unwrap()), receipt)
    }

    pub(super) async fn call<H: Handler>(&self, message: H) -> Value {
        self.submit(message).await.0.unwrap()
    }

    pub(super) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.scratch.connect().await).await.unwrap()
    }

    pub(super) fn page(&self) -> Page {
        self.page_of(Caller::default())
    }

    pub(super) fn page_of(&self, caller: Caller) -> Page {
        let (sender, inbox) = mpsc::unbounded_channel();
        let client = self.reactor.attach(Arc::new(Inbox(sender)));
        Page {
            client,
            caller,
            inbox,
            view: BTreeMap::new(),
            applied: Vec::new(),
            tick: 0,
            deliveries: 0,
            resets: 0,
        }
    }

    /// Stops the node and proves that it left no session at work.
    pub(super) async fn close(self) {
        self.root.stop(PATIENCE).await.expect("stops in order");
        // The session of a tick that was cut short is terminated by a task of the pool.
        let busy = "state LIKE 'idle in transaction%' OR state = 'active'";
        forge_tests::until("no session is left at work", PATIENCE, || async {
            (self.scratch.sessions(busy).await == 0).then_some(())
        })
        .await;
        self.scratch.drop().await;
    }
}

struct Inbox(mpsc::UnboundedSender<Delivery>);

impl Sink for Inbox {
    fn deliver(&self, delivery: Delivery) {
        // A page that was dropped takes no deliveries.
        let _gone = self.0.send(delivery);
    }
}

/// A client, and what was delivered to it.
pub(super) struct Page {
    pub(super) client: Client,
    pub(super) caller: Caller,
    inbox: mpsc::UnboundedReceiver<Delivery>,
    pub(super) view: BTreeMap<u32, Arc<QueryResult>>,
    pub(super) applied: Vec<u32>,
    tick: u64,
    pub(super) deliveries: usize,
    pub(super) resets: usize,
}

impl Page {
    pub(super) fn subscribe<H: Handler>(&self, id: u32, message: H) {
        self.try_subscribe(id, message).unwrap();
    }

    pub(super) fn try_subscribe<H: Handler>(&self, id: u32, message: H) -> Result<(), Fault> {
        let args = message.to_json().unwrap();
        let invocation = Invocation::new(H::META.wire_name(), args, self.caller.clone());
        self.client.subscribe(SubscriptionId(id), invocation, None)
    }

    pub(super) fn await_commit(&self, id: u32, receipt: &Receipt) {
        self.client.await_commit(MutationId(id), receipt);
    }

    /// Takes the next delivery.
    pub(super) async fn next(&mut self) {
        let delivery = tokio::time::timeout(PATIENCE, self.inbox.recv())
            .await
            .expect("a delivery")
            .expect("the sink lives");
        self.take(delivery);
    }

    fn take(&mut self, delivery: Delivery) {
        self.deliveries += 1;
        match delivery {
            Delivery::Advanced { tick, mods, applied } => {
                assert!(tick.0 >= self.tick, "ticks never go back");
                self.tick = tick.0;
                self.applied.extend(applied.into_iter().map(|mutation| mutation.0));
                for modification in mods {
                    self.view.insert(modification.subscription.0, modification.result);
                }
            }
            Delivery::Reset => self.resets += 1,
        }
    }

    /// Takes deliveries until one makes `condition` true.
    pub(super) async fn until(&mut self, mut condition: impl FnMut(&Self) -> bool) {
        while !condition(self) {
            self.next().await;
        }
    }

    /// Takes deliveries until a subscription's result is `expected`.
    pub(super) async fn sees(&mut self, id: u32, expected: Value) {
        let waited =
            tokio::time::timeout(PATIENCE, self.until(|page| page.data(id).as_ref() == Some(&expected)))
                .await;
        assert!(waited.is_ok(), "subscription {id} shows {:?} and not {expected}", self.view.get(&id));
    }

    pub(super) fn data(&self, id: u32) -> Option<Value> {
        let result = self.view.get(&id)?;
        result.outcome.as_ref().ok().map(|body| serde_json::from_slice(body).unwrap())
    }

    pub(super) fn code(&self, id: u32) -> Option<&'static str> {
        self.view.get(&id)?.outcome.as_ref().err().map(|fault| fault.code().name())
    }
}

pub(super) fn caller(subject: &str, roles: &[&str]) -> Caller {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let identity = Identity { subject: subject.into(), roles, tenant: None, claims: serde_json::Map::new() };
    Caller { identity: Some(Arc::new(identity)), ..Caller::default() }
}
