//! A function subsystem over a scratch database.

use std::sync::Arc;
use std::time::Duration;

use forge_actors::app::context::Services;
use forge_actors::app::node::NodeView;
use forge_actors::app::{Catalog, Handler};
use forge_actors::change::{HintHub, HintReceiver, TopicKind};
use forge_actors::cron::begin::CronRunBeginner;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;
use forge_actors::function::config::FunctionConfig;
use forge_actors::function::{FunctionDeps, Functions};
use forge_actors::job::buffer::{BufferPlace, JobBuffer};
use forge_actors::job::dispatcher::JobInserter;
use forge_actors::job::ends::JobEnds;
use forge_actors::kernel::fault::Fault;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::invocation::{Caller, Identity, Invocation};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec, Tree};
use forge_actors::workflow::starter::WorkflowStarter;
use serde_json::Value;
use tokio::sync::watch;

use crate::store::cluster::{Scratch, execute};

pub(super) struct Stage {
    pub(super) scratch: Scratch,
    pub(super) functions: Functions,
    pub(super) tree: Arc<Tree>,
    /// Receives the queues that got jobs.
    pub(super) queues: HintReceiver,
    root: Root,
}

impl Stage {
    pub(super) async fn open() -> Self {
        Self::with(FunctionConfig::default()).await
    }

    /// A subsystem over a database that has Forge's own tables.
    pub(super) async fn migrated() -> Self {
        let scratch = Scratch::new().await;
        let sets = system_sets();
        let runner = Runner {
            database: &scratch.database,
            sets: &sets,
            node: "test",
            lock_wait: Duration::from_secs(5),
        };
        runner.up(None, |_| {}).await.expect("migrates");
        Self::over(scratch, FunctionConfig::default()).await
    }

    pub(super) async fn with(config: FunctionConfig) -> Self {
        Self::over(Scratch::new().await, config).await
    }

    pub(super) async fn over(scratch: Scratch, config: FunctionConfig) -> Self {
        let tables = "CREATE TABLE ledger (key text PRIMARY KEY, touched int NOT NULL DEFAULT 0); \
                      CREATE TABLE counter (value int8 NOT NULL); INSERT INTO counter VALUES (0)";
        let mut connection = scratch.connect().await;
        for table in tables.split(';') {
            execute(&mut connection, table).await;
        }
        let tree = Tree::new();
        let view = NodeView::new(NodeId::new(), "node", Arc::clone(&tree), &[]);
        let hints = HintHub::new();
        let queues = hints.subscribe(TopicKind::Queues);
        let needs = FunctionDeps {
            database: scratch.database.clone(),
            tree: Arc::clone(&tree),
            hints,
            terms: watch::channel(None).1,
            config,
        };
        let catalog = Arc::new(Catalog::build().expect("the handlers of this binary"));
        let result_bytes_max = needs.config.result_bytes_max;
        let (inserter, inserter_child) = JobInserter::new(needs.database.clone(), needs.hints.clone());
        let (job_ends, _) = JobEnds::new(needs.database.clone(), needs.hints.clone());
        let (job_buffer, _) =
            JobBuffer::new(BufferPlace::none(), needs.database.clone(), needs.hints.clone());
        let (workflows, starter_child) = WorkflowStarter::new(needs.database.clone(), needs.hints.clone());
        let services = |invoke, blocking| Services {
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
            result_bytes_max,
        };
        let (functions, child) = Functions::new(catalog, needs, services).expect("threads");
        let spec = SupervisorSpec::new(Strategy::OneForOne, vec![inserter_child, starter_child, child]);
        let root = Root::start("node", spec, Arc::clone(&tree)).await.expect("starts");
        Self { scratch, functions, tree, queues, root }
    }

    pub(super) async fn call<H: Handler>(&self, message: H) -> Result<Value, Fault> {
        self.call_as(message, Caller::default()).await
    }

    pub(super) async fn call_as<H: Handler>(&self, message: H, caller: Caller) -> Result<Value, Fault> {
        let args = message.to_json().expect("a message is JSON");
        let answer = self.functions.call(Invocation::new(H::META.wire_name(), args, caller)).await?;
        Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    /// The ledger's keys, in order.
    pub(super) async fn keys(&self) -> Vec<String> {
        let mut connection = self.scratch.connect().await;
        sqlx::query_scalar("SELECT key FROM ledger ORDER BY key")
            .fetch_all(&mut connection)
            .await
            .expect("reads")
    }

    /// Stops the subsystem and proves that it left no session at work.
    pub(super) async fn close(self) {
        self.root.stop(Duration::from_secs(30)).await.expect("stops in order");
        assert_eq!(self.scratch.sessions("state LIKE 'idle in transaction%' OR state = 'active'").await, 0);
        self.scratch.drop().await;
    }
}

pub(super) fn caller(roles: &[&str]) -> Caller {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let identity = Identity { subject: "ana".into(), roles, tenant: None, claims: serde_json::Map::new() };
    Caller { identity: Some(Arc::new(identity)), ..Caller::default() }
}
