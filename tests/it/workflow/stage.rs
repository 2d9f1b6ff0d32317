//! Nodes that run workflows over a scratch database, in this process.

use std::sync::Arc;
use std::time::Duration;

use forge_actors::app::context::Services;
use forge_actors::app::node::{Build, NodeView};
use forge_actors::app::{Catalog, Handler};
use forge_actors::change::HintHub;
use forge_actors::cron::begin::CronRunBeginner;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;
use forge_actors::function::config::FunctionConfig;
use forge_actors::function::{FunctionDeps, Functions};
use forge_actors::job::buffer::{BufferPlace, JobBuffer};
use forge_actors::job::config::JobConfig;
use forge_actors::job::dispatcher::JobInserter;
use forge_actors::job::ends::JobEnds;
use forge_actors::job::{JobDeps, Jobs};
use forge_actors::kernel::fault::Fault;
use forge_actors::kernel::ids::{NodeId, RunId};
use forge_actors::kernel::invocation::{Caller, Identity, Invocation};
use forge_actors::kernel::resource::ResourceAmounts;
use forge_actors::kernel::time::{millis, secs};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec, Tree};
use forge_actors::workflow::config::WorkflowConfig;
use forge_actors::workflow::starter::WorkflowStarter;
use forge_actors::workflow::{WorkflowDeps, Workflows};
use forge_tests::until;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::sync::watch;

use crate::store::cluster::{Scratch, execute};

/// A database, and the node that runs its workflows.
pub(super) struct Stage {
    pub(super) scratch: Scratch,
    pub(super) node: Node,
}

/// A node without ports.
pub(super) struct Node {
    pub(super) functions: Functions,
    pub(super) workflows: Workflows,
    root: Root,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) status: String,
    pub(super) output: Option<Value>,
    pub(super) error: Option<Value>,
}

impl Ended {
    /// The code of its failure.
    pub(super) fn code(&self) -> &str {
        self.error.as_ref().and_then(|error| error["code"].as_str()).unwrap_or_default()
    }

    /// The sentence of its failure.
    pub(super) fn message(&self) -> &str {
        self.error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default()
    }
}

impl Node {
    pub(super) async fn start(scratch: &Scratch, config: WorkflowConfig) -> Self {
        let (tree, hints, id) = (Tree::new(), HintHub::new(), NodeId::new());
        let database = scratch.database.clone();
        let needs = FunctionDeps {
            database: database.clone(),
            tree: Arc::clone(&tree),
            hints: hints.clone(),
            terms: watch::channel(None).1,
            config: FunctionConfig { drain_timeout: secs(1), ..FunctionConfig::default() },
        };
        let catalog = Arc::new(Catalog::build().unwrap());
        let (inserter, inserter_child) = JobInserter::new(database.clone(), hints.clone());
        let (job_ends, _) = JobEnds::new(database.clone(), hints.clone());
        let (job_buffer, _) = JobBuffer::new(BufferPlace::none(), database.clone(), hints.clone());
        let (starter, starter_child) = WorkflowStarter::new(database.clone(), hints.clone());
        let of_functions = starter.clone();
        let view = NodeView::new(id, "node", Arc::clone(&tree), &[]);
        let (jobs, job_hints) = (inserter.clone(), hints.clone());
        let services = |invoke, blocking| Services {
            node: view,
            invoke,
            jobs: Arc::new(jobs),
            job_ends: Arc::new(job_ends),
            job_buffer: Arc::new(job_buffer),
            workflows: Arc::new(of_functions),
            crons: Arc::new(CronRunBeginner),
            tokens: None,
            http: reqwest::Client::new(),
            blocking,
            result_bytes_max: usize::MAX,
        };
        let (functions, functions_child) = Functions::new(catalog, needs, services).unwrap();
        let (workflows, workflows_child) = Workflows::new(WorkflowDeps {
            node: id,
            node_name: "node".to_owned(),
            database,
            functions: functions.clone(),
            starter,
            jobs: Arc::new(inserter),
            hints,
            terms: watch::channel(None).1,
            config,
        });
        let (_, jobs_child) = Jobs::new(JobDeps {
            node: id,
            capabilities: Vec::new(),
            resources: ResourceAmounts::default(),
            database: scratch.database.clone(),
            functions: functions.clone(),
            peers: None,
            build: Build("test".into()),
            hints: job_hints,
            terms: watch::channel(None).1,
            settlement_terms: watch::channel(None).1,
            config: JobConfig { concurrency: 2, ..JobConfig::default() },
        });
        let children = vec![inserter_child, starter_child, functions_child, jobs_child, workflows_child];
        let root =
            Root::start("node", SupervisorSpec::new(Strategy::OneForOne, children), tree).await.unwrap();
        Self { functions, workflows, root }
    }

    pub(super) async fn call<H: Handler>(&self, message: H) -> Result<Value, Fault> {
        let args = message.to_json().unwrap();
        let invocation = Invocation::new(H::META.wire_name(), args, Caller::default());
        self.functions
            .invoker()
            .invoke(invocation, 1)
            .await
            .map(|json| serde_json::from_slice(&json).unwrap())
    }

    pub(super) async fn stop(self) {
        self.root.stop(secs(30)).await.unwrap();
    }
}

impl Stage {
    pub(super) async fn open() -> Self {
        Self::with(WorkflowConfig { poll_interval: millis(200), ..WorkflowConfig::default() }).await
    }

    pub(super) async fn with(config: WorkflowConfig) -> Self {
        let scratch = Scratch::new().await;
        let sets = system_sets();
        let runner = Runner { database: &scratch.database, sets: &sets, node: "test", lock_wait: secs(5) };
        runner.up(None, |_| {}).await.unwrap();
        let table =
            "CREATE TABLE log (id int8 GENERATED ALWAYS AS IDENTITY, run text NOT NULL, entry text NOT NULL)";
        execute(&mut scratch.connect().await, table).await;
        let node = Node::start(&scratch, config).await;
        Self { scratch, node }
    }

    pub(super) async fn call<H: Handler>(&self, message: H) -> Value {
        self.node.call(message).await.unwrap()
    }

    /// Calls a function in the name of Ana, an administrator of this tenant.
    pub(super) async fn call_in<H: Handler>(&self, tenant: Option<&str>, message: H) -> Result<Value, Fault> {
        let identity = Identity {
            subject: "ana".to_owned(),
            roles: vec!["admin".to_owned()],
            tenant: tenant.map(str::to_owned),
            claims: serde_json::Map::new(),
        };
        let caller = Caller { identity: Some(Arc::new(identity)), ..Caller::default() };
        let invocation = Invocation::new(H::META.wire_name(), message.to_json().unwrap(), caller);
        let answered = self.node.functions.invoker().invoke(invocation, 1).await;
        answered.map(|json| serde_json::from_slice(&json).unwrap())
    }

    /// Starts a run with a handler that returns its id.
    pub(super) async fn started<H: Handler>(&self, message: H) -> RunId {
        serde_json::from_value(self.call(message).await).unwrap()
    }

    /// Waits until a run has ended.
    pub(super) async fn ended(&self, run: RunId) -> Ended {
        let found = until("the run has ended", Duration::from_secs(20), || async {
            let sql =
                "SELECT status::text, output::text, error::text FROM forge_workflow_history WHERE id = $1";
            let row: Option<(String, Option<String>, Option<String>)> = sqlx::query_as(sql)
                .bind(run)
                .fetch_optional(&mut self.scratch.connect().await)
                .await
                .unwrap();
            row
        });
        let (status, output, error) = found.await;
        let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text).unwrap());
        Ended { status, output: json(output), error: json(error) }
    }

    /// Waits until a run has this status.
    pub(super) async fn has_status(&self, run: RunId, status: &str) {
        until(status, Duration::from_secs(20), || async {
            let sql = "SELECT status::text FROM forge_workflow_runs WHERE id = $1";
            let found: Option<String> = sqlx::query_scalar(sql)
                .bind(run)
                .fetch_optional(&mut self.scratch.connect().await)
                .await
                .unwrap();
            found.filter(|found| found == status)
        })
        .await;
    }

    /// What was logged for a run, in order.
    pub(super) async fn log(&self, run: RunId) -> Vec<String> {
        let sql = "SELECT entry FROM log WHERE run = $1 ORDER BY id";
        let log = sqlx::query_scalar(sql).bind(run.to_string());
        log.fetch_all(&mut self.scratch.connect().await).await.unwrap()
    }

    pub(super) async fn execute(&self, sql: &str) {
        execute(&mut self.scratch.connect().await, sql).await;
    }

    pub(super) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.scratch.connect().await).await.unwrap()
    }

    /// Lets `time` pass for what runs wait for.
    pub(super) async fn advance(&self, time: &str) {
        for statement in [
            "UPDATE forge_workflow_steps SET due_at = due_at - interval '{}' WHERE due_at IS NOT NULL",
            "UPDATE forge_workflow_runs SET due_at = due_at - interval '{}', deadline_at = deadline_at - interval '{}'",
        ] {
            self.execute(&statement.replace("{}", time)).await;
        }
    }

    pub(super) async fn close(self) {
        self.node.stop().await;
        self.scratch.drop().await;
    }
}
