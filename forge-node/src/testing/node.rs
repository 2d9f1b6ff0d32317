//! What serves the handlers of one test: the parts of a node that calls, jobs and live queries need. It
//! listens on no port for clients, is part of no cluster, and its jobs run when the test says so.

use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use forge_actors::app::Catalog;
use forge_actors::app::catalog_error::CatalogError;
use forge_actors::app::context::Services;
use forge_actors::app::job_end::AwaitJobEnd;
use forge_actors::app::node::{Build, NodeView};
use forge_actors::app::token::{TokenRules, Tokens};
use forge_actors::change::HintHub;
use forge_actors::cron::begin::CronRunBeginner;
use forge_actors::db::database::Database;
use forge_actors::function::config::FunctionConfig;
use forge_actors::function::{FunctionDeps, Functions};
use forge_actors::job::buffer::{BufferPlace, JobBuffer};
use forge_actors::job::config::JobConfig;
use forge_actors::job::dispatcher::JobInserter;
use forge_actors::job::{JobDeps, Jobs};
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::resource::ResourceAmounts;
use forge_actors::kernel::time::secs;
use forge_actors::reactor::config::ReactivityConfig;
use forge_actors::reactor::{Reactor, ReactorDeps};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec, Tree};
use forge_actors::tree::SUBSYSTEMS;
use forge_actors::workflow::config::WorkflowConfig;
use forge_actors::workflow::starter::WorkflowStarter;
use forge_actors::workflow::{WorkflowDeps, Workflows};
use tokio::sync::watch;

use super::error::TestError;
use super::http::HttpAnswers;
use super::job_ends::InlineJobEnds;
use super::server::TestDatabase;
use crate::boot::secret;

/// How long calls that still run may take when their test has ended.
const DRAIN: Duration = secs(2);
/// Time for all actors to stop, beyond the drain.
const STOP_MARGIN: Duration = secs(10);
/// Difference between clocks that tokens are verified with.
const LEEWAY: Duration = secs(60);

/// The node of one test.
pub(super) struct TestNode {
    pub(super) functions: Functions,
    pub(super) jobs: Jobs,
    pub(super) workflows: Workflows,
    pub(super) reactor: Reactor,
    pub(super) database: Database,
    pub(super) tokens: Tokens,
    pub(super) http: HttpAnswers,
}

impl TestNode {
    /// Starts it on the test's database. The second value owns its actors.
    pub(super) async fn start(database: &TestDatabase) -> Result<(Arc<Self>, Root), TestError> {
        let (database, tree, hints) = (database.open(), Tree::new(), HintHub::new());
        let http = HttpAnswers::start().await?;
        let (id, no_terms) = (NodeId::new(), watch::channel(None).1);
        let rules = TokenRules { issuer: None, audience: None, leeway: LEEWAY };
        let tokens = Tokens::new(secret::generate()?.expose().as_bytes(), rules)?;
        let deps = function_deps(&database, &tree, &hints);
        let view = NodeView::new(id, "test", Arc::clone(&tree), SUBSYSTEMS);
        let (signer, client) = (tokens.clone(), http.client()?);
        let result_bytes_max = deps.config.result_bytes_max;
        let job_ends = Arc::new(InlineJobEnds::default());
        // The server of a test is never away.
        let (inserter, inserter_child) = JobInserter::new(database.clone(), hints.clone());
        let (job_buffer, _) = JobBuffer::new(BufferPlace::none(), database.clone(), hints.clone());
        let (starter, starter_child) = WorkflowStarter::new(database.clone(), hints.clone());
        let services = |invoke, blocking| Services {
            node: view,
            invoke,
            jobs: Arc::new(inserter.clone()),
            job_ends: Arc::clone(&job_ends) as Arc<dyn AwaitJobEnd>,
            job_buffer: Arc::new(job_buffer),
            workflows: Arc::new(starter.clone()),
            crons: Arc::new(CronRunBeginner),
            tokens: Some(signer),
            http: client,
            blocking,
            result_bytes_max,
        };
        let (functions, functions_child) = Functions::new(catalog()?, deps, services)?;
        let (reactor, reactor_child) = Reactor::new(ReactorDeps {
            functions: functions.clone(),
            database: database.clone(),
            hints: hints.clone(),
            config: ReactivityConfig::default(),
        });
        // The actors of the jobs are not started: a test runs its jobs itself.
        let named = functions.catalog().queued().filter_map(|(_, known)| known.meta.job_meta()?.capability);
        let capabilities = named.map(str::to_owned).collect();
        let (jobs, _) = Jobs::new(JobDeps {
            node: id,
            capabilities,
            resources: ResourceAmounts::default(),
            database: database.clone(),
            functions: functions.clone(),
            peers: None,
            build: Build("test".into()),
            hints: hints.clone(),
            terms: no_terms.clone(),
            settlement_terms: no_terms.clone(),
            config: JobConfig { concurrency: 1, ..JobConfig::default() },
        });
        job_ends.run_by(jobs.clone());
        let (workflows, workflows_child) = Workflows::new(WorkflowDeps {
            node: id,
            node_name: "test".to_owned(),
            database: database.clone(),
            functions: functions.clone(),
            starter,
            jobs: Arc::new(inserter),
            hints,
            terms: no_terms,
            config: WorkflowConfig::default(),
        });
        let children = vec![inserter_child, starter_child, functions_child, reactor_child, workflows_child];
        let root = Root::start("node", SupervisorSpec::new(Strategy::OneForOne, children), tree).await?;
        Ok((Arc::new(Self { functions, jobs, workflows, reactor, database, tokens, http }), root))
    }

    /// Ends the calls that still run, stops the actors and closes the connections.
    pub(super) async fn stop(&self, root: Root) {
        if let Err(error) = root.stop(DRAIN + STOP_MARGIN).await {
            tracing::warn!(%error, "not everything stopped at the end of the test");
        }
        self.database.close().await;
    }
}

/// What the functions of a test need.
fn function_deps(database: &Database, tree: &Arc<Tree>, hints: &HintHub) -> FunctionDeps {
    FunctionDeps {
        database: database.clone(),
        tree: Arc::clone(tree),
        hints: hints.clone(),
        terms: watch::channel(None).1,
        config: FunctionConfig {
            threads: NonZero::new(2),
            drain_timeout: DRAIN,
            ..FunctionConfig::default()
        },
    }
}

/// The handlers of this binary.
fn catalog() -> Result<Arc<Catalog>, TestError> {
    static CATALOG: OnceLock<Result<Arc<Catalog>, TestError>> = OnceLock::new();
    let failed = |error: CatalogError| TestError::diagnosed("the handlers of this binary", &error);
    let built = CATALOG.get_or_init(|| Catalog::build().map(Arc::new).map_err(failed));
    built.as_ref().map(Arc::clone).map_err(Clone::clone)
}
