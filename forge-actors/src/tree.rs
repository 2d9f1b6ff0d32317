//! The supervision tree of a node, as one table: which children, in which order, under which strategy.
//!
//! ```text
//! node (one_for_one)
//! ├ database (one_for_one)    postgres (the private cluster, when one is used) · monitor · migrator
//! ├ change (one_for_one)      captures · capture_check · compactor
//! ├ leader (one_for_one)      elector · history
//! ├ telemetry (one_for_one)   crashes · crash_expiry · metrics (with a gateway) · collector · steward
//! ├ functions
//! ├ cluster (one_for_one)     registry · node_expiry · mesh: endpoint, links, listener, dialer
//! ├ reactor (one_for_one)     ticker · poller
//! ├ jobs (one_for_one)        acknowledger · workers · claimer · rescuer · counter · sweeper (role `worker`)
//! └ gateway (one_for_one)     database_check · subsystem_check · sessions (dynamic) · session_drainer · listener
//! ```
//!
//! Children start from top to bottom and stop from bottom to top, so what stops first is what lets work in. A
//! child that fails to start fails the boot with its own typed error. The database's children restart one by
//! one: the monitor must go on watching while the private cluster comes back, since it is the one who tells
//! everybody that the database is away. The root gives up when its budget is spent; the process then ends
//! with an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::Catalog;
use crate::app::context::Services;
use crate::app::model::ModelRegistration;
use crate::app::node::{NodeRooms, NodeView, Peers, Vitals};
use crate::app::token::Tokens;
use crate::change::HintHub;
use crate::change::captures::CaptureReconciler;
use crate::change::compactor::{CHANGES, CaptureCheck, Compactor};
use crate::change::config::CaptureConfig;
use crate::cluster::config::ClusterConfig;
use crate::cluster::{ClusterDeps, Mesh, MeshOptions, NodeIdentity};
use crate::dashboard::collector::Collector;
use crate::dashboard::steward::Steward;
use crate::db::database::Database;
use crate::function::config::FunctionConfig;
use crate::function::{FunctionDeps, Functions};
use crate::gateway::assets::Assets;
use crate::gateway::config::GatewayConfig;
use crate::gateway::database_check::{DATABASE_CHECK, DatabaseCheck};
use crate::gateway::port::Port;
use crate::gateway::readiness::Readiness;
use crate::gateway::subsystem_check::{FUNCTIONS_CHECK, REACTOR_CHECK, SubsystemCheck};
use crate::gateway::{Gateway, GatewayDeps, LISTENER_CHECK};
use crate::job::config::JobConfig;
use crate::job::insert::JobInserter;
use crate::job::{JOBS, JobDeps, Jobs};
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::node::NodeState;
use crate::leader::config::LeaderConfig;
use crate::leader::{Leader, LeaderDeps, MAINTENANCE};
use crate::reactor::config::ReactivityConfig;
use crate::reactor::{Reactor, ReactorDeps};
use crate::session::config::SessionsConfig;
use crate::session::{SessionDeps, Sessions};
use crate::supervise::{ChildSpec, Exit, Root, StartError, StopTimeout, Strategy, SupervisorSpec, Tree};
use crate::telemetry;

/// Name of the root.
pub const ROOT: &str = "node";

/// What a node is made of.
pub struct NodeOptions {
    /// Names the node.
    pub id: NodeId,
    /// Its name, as people read it.
    pub name: String,
    /// The handlers.
    pub catalog: Arc<Catalog>,
    /// The pools, not connected yet.
    pub database: Database,
    /// The children that make the database usable, in start order: see [`crate::db`].
    pub database_children: Vec<ChildSpec>,
    /// How leaders of the cluster's duties are elected.
    pub leader: LeaderConfig,
    /// What is captured of the changes.
    pub capture: CaptureConfig,
    /// Pace and bounds of live queries.
    pub reactivity: ReactivityConfig,
    /// Limits of WebSockets.
    pub sessions: SessionsConfig,
    /// Limits of the function room.
    pub functions: FunctionConfig,
    /// How it runs jobs; `None` runs none.
    pub jobs: Option<JobConfig>,
    /// Signs and verifies tokens.
    pub tokens: Option<Tokens>,
    /// For actions that call out.
    pub http: reqwest::Client,
    /// The node's part in the cluster.
    pub cluster: ClusterOptions,
    /// The HTTP server; `None` serves none.
    pub gateway: Option<GatewayOptions>,
    /// Hash of the generated client that fits these handlers: sessions tell it to pages.
    pub contract: Option<Arc<str>>,
}

/// A node's part in the cluster.
pub struct ClusterOptions {
    /// Section `[cluster]`.
    pub config: ClusterConfig,
    /// What the node does, as its row says.
    pub roles: Vec<String>,
    /// The mesh, its port open already; `None` for a node by itself.
    pub mesh: Option<MeshOptions>,
}

/// The HTTP server of a node.
pub struct GatewayOptions {
    /// Limits.
    pub config: GatewayConfig,
    /// The port, open already: a port in use is told before anything starts.
    pub port: Arc<Port>,
    /// Renders `/metrics`; the telemetry supervisor keeps it small.
    pub metrics: PrometheusHandle,
    /// Files for browsers.
    pub assets: Assets,
}

/// A running node.
pub struct RunningNode {
    root: Root,
    readiness: Readiness,
    functions: Functions,
    sessions: Sessions,
    mesh: Mesh,
    leader: Leader,
    address: Option<SocketAddr>,
    tree: Arc<Tree>,
}

impl RunningNode {
    /// Starts everything, in order. Fails with the first child that does not start; what had started is
    /// stopped again.
    pub async fn start(options: NodeOptions) -> Result<Self, StartError> {
        let tree = Tree::new();
        let readiness = Readiness::new(&[DATABASE_CHECK, FUNCTIONS_CHECK, REACTOR_CHECK, LISTENER_CHECK]);
        let view = NodeView::new(options.id, options.name.as_str(), Arc::clone(&tree));
        let tokens = options.tokens.clone();
        let hints = HintHub::new();
        let (leader, leader_child) = Leader::new(LeaderDeps {
            node: options.id,
            node_name: options.name.clone(),
            database: options.database.clone(),
            config: options.leader,
        });
        let function_deps = FunctionDeps {
            database: options.database.clone(),
            tree: Arc::clone(&tree),
            hints: hints.clone(),
            terms: leader.stand_for(MAINTENANCE),
            config: options.functions,
        };
        let (functions, functions_child) = Functions::new(options.catalog, function_deps, |invoke| {
            Services { node: view.clone(), invoke, jobs: Arc::new(JobInserter), tokens, http: options.http }
        });
        let http = options
            .gateway
            .as_ref()
            .map(|gateway| options.cluster.config.http_address(gateway.port.address()));
        let (mesh, cluster_child) = Mesh::new(ClusterDeps {
            config: options.cluster.config,
            identity: NodeIdentity {
                id: options.id,
                name: options.name,
                roles: options.cluster.roles,
                address: http,
                mesh_address: None,
            },
            database: options.database.clone(),
            hints: hints.clone(),
            terms: leader.stand_for(MAINTENANCE),
            invoke: functions.invoker(),
            mesh: options.cluster.mesh,
        });
        let (reactor, reactor_child) = Reactor::new(ReactorDeps {
            functions: functions.clone(),
            database: options.database.clone(),
            hints: hints.clone(),
            config: options.reactivity,
        });
        let (sessions, sessions_children) = Sessions::new(SessionDeps {
            functions: functions.clone(),
            reactor: reactor.clone(),
            tokens: options.tokens.clone(),
            node: options.id,
            config: options.sessions,
            contract: options.contract,
        });
        let vitals = vitals(&functions, &options.database, &reactor, &sessions);
        let peers: Arc<dyn Peers> = Arc::new(mesh.clone());
        view.open(NodeRooms { vitals: Box::new(vitals), peers: Some(Arc::clone(&peers)) });
        let metrics = options.gateway.as_ref().map(|gateway| gateway.metrics.clone());
        let expiry_terms = leader.stand_for(MAINTENANCE);
        let telemetry = telemetry::children(options.id, &options.database, &tree, metrics, expiry_terms)
            .into_iter()
            .chain([Collector::spec(view.clone(), peers), Steward::spec(view)])
            .collect();
        let change = change(&options.database, &options.capture, &hints, &leader);
        let mut children = vec![
            ChildSpec::supervisor(
                "database",
                SupervisorSpec::new(Strategy::OneForOne, options.database_children),
            ),
            ChildSpec::supervisor("change", SupervisorSpec::new(Strategy::OneForOne, change)),
            leader_child,
            ChildSpec::supervisor("telemetry", SupervisorSpec::new(Strategy::OneForOne, telemetry)),
            functions_child,
            cluster_child,
            reactor_child,
        ];
        if let Some(config) = options.jobs {
            let (node, database, functions) = (options.id, options.database.clone(), functions.clone());
            let terms = leader.stand_for(JOBS);
            children.push(Jobs::new(JobDeps { node, database, functions, hints, terms, config }).1);
        }
        let mut address = None;
        if let Some(gateway) = options.gateway {
            address = Some(gateway.port.address());
            let watch = DatabaseCheck::spec(options.database.state(), readiness.clone());
            let listener =
                listener(gateway, functions.clone(), options.tokens, readiness.clone(), sessions.clone());
            let checks = [watch, SubsystemCheck::spec(Arc::clone(&tree), readiness.clone())];
            let gateway = checks.into_iter().chain(sessions_children).chain([listener]).collect();
            children
                .push(ChildSpec::supervisor("gateway", SupervisorSpec::new(Strategy::OneForOne, gateway)));
        }
        let root =
            Root::start(ROOT, SupervisorSpec::new(Strategy::OneForOne, children), Arc::clone(&tree)).await?;
        mesh.enter(NodeState::Active);
        Ok(Self { root, readiness, functions, sessions, mesh, leader, address, tree })
    }

    /// Where it answers HTTP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Its actors.
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// Its handlers.
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Its part in the cluster.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Waits until the tree ends by itself, which it only does when it gives up. May be cancelled and called
    /// again.
    pub async fn wait(&mut self) -> Exit {
        self.root.wait().await
    }

    /// Says "not ready", lets what runs end, and stops everything in reverse order within `deadline`.
    pub async fn stop(self, deadline: Duration) -> Result<(), StopTimeout> {
        self.readiness.drain();
        self.sessions.drain();
        self.mesh.enter(NodeState::Draining);
        self.leader.withdraw();
        self.root.stop(deadline).await
    }
}

/// What captures changes, and what keeps them in bounds.
fn change(database: &Database, config: &CaptureConfig, hints: &HintHub, leader: &Leader) -> Vec<ChildSpec> {
    let settings =
        config.settings(ModelRegistration::all().into_iter().map(|model| (model.table, model.reactive)));
    let captures = CaptureReconciler::spec(database.clone(), settings.into(), hints.clone());
    let check = CaptureCheck::spec(database.clone(), config, hints.clone());
    vec![captures, check, Compactor::spec(database.clone(), config, leader.stand_for(CHANGES))]
}

/// The actor that serves HTTP.
fn listener(
    options: GatewayOptions,
    functions: Functions,
    tokens: Option<Tokens>,
    readiness: Readiness,
    sessions: Sessions,
) -> ChildSpec {
    let GatewayOptions { config, port, metrics, assets } = options;
    let deps = GatewayDeps { functions, tokens, readiness, metrics, sessions: Some(sessions), assets };
    Gateway::new(config, deps).listener(port)
}

/// How busy the node is.
fn vitals(
    functions: &Functions,
    database: &Database,
    reactor: &Reactor,
    sessions: &Sessions,
) -> impl Fn() -> Vitals + Send + Sync + 'static {
    let (functions, database, reactor, sessions) =
        (functions.clone(), database.clone(), reactor.clone(), sessions.clone());
    move || {
        let live = reactor.stats();
        Vitals {
            sessions: Int53::count(sessions.stats().open as u64),
            subscriptions: Int53::count(live.subscriptions as u64),
            query_groups: Int53::count(live.groups as u64),
            ticks: Int53::count(live.ticks),
            last_tick_ms: live.last_tick.as_secs_f64() * 1_000.0,
            change_lag_ms: live.lag.as_secs_f64() * 1_000.0,
            calls: Int53::count(functions.counts().calls),
            errors: Int53::count(functions.counts().errors),
            in_flight: Int53::count(functions.in_flight().len() as u64),
            database_up: database.state().borrow().is_up(),
            database: Some(database.usage()),
        }
    }
}
