//! A node: its subsystems as one table, and their supervision tree.
//!
//! ```text
#![doc = include_str!("tree.txt")]
//! ```
//!
//! Children start from top to bottom and stop from bottom to top, so what stops first is what lets work in. A
//! child that fails to start fails the boot with its own typed error. The root gives up when its restart
//! budget is spent; the process then ends with an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::app::Catalog;
use crate::app::cron::BeginCronRun;
use crate::app::model::ModelRegistration;
use crate::app::node::{Build, NodeSources, NodeView, Peers};
use crate::app::token::Tokens;
use crate::change::subsystem::{ChangeSubsystem, ReactiveModels};
use crate::cluster::subsystem::ClusterSubsystem;
use crate::cluster::{Cluster, MeshOptions};
use crate::cron::begin::CronRunBeginner;
use crate::cron::subsystem::CronSubsystem;
use crate::dashboard::subsystem::DashboardSubsystem;
use crate::db::database::Database;
use crate::db::subsystem::{DatabaseChildren, DatabaseSubsystem};
use crate::function::Functions;
use crate::function::subsystem::FunctionSubsystem;
use crate::gateway::config::GatewayConfig;
use crate::gateway::subsystem::{ClientContract, GatewayOptions, GatewaySubsystem};
use crate::job::JOB_PROGRESS_TABLE;
use crate::job::buffer::subsystem::JobBufferSubsystem;
use crate::job::dispatcher::subsystem::JobDispatcherSubsystem;
use crate::job::ends::subsystem::JobEndsSubsystem;
use crate::job::subsystem::JobSubsystem;
use crate::leader::subsystem::LeaderSubsystem;
use crate::reactor::subsystem::ReactorSubsystem;
use crate::subsystem::{
    FillStats, Health, Hook, HttpAddress, NODE, NodeBuilder, NodeProfile, NodeStats, Readiness,
    ReadinessRule, ReadinessWatcher, Sections, SubsystemEntry,
};
use crate::supervise::{ChildSpec, Root, RootExit, StartError, StopTimeout, Strategy, SupervisorSpec, Tree};
use crate::telemetry::subsystem::TelemetrySubsystem;
use crate::workflow::starter::subsystem::WorkflowStarterSubsystem;
use crate::workflow::subsystem::WorkflowSubsystem;

/// The subsystems of a node, in start order. A new one is a folder, its `mod` in `lib.rs` and a line here.
pub static SUBSYSTEMS: &[SubsystemEntry] = &[
    SubsystemEntry::of::<DatabaseSubsystem>(),
    SubsystemEntry::of::<LeaderSubsystem>(),
    SubsystemEntry::of::<ChangeSubsystem>(),
    SubsystemEntry::of::<TelemetrySubsystem>(),
    SubsystemEntry::of::<JobEndsSubsystem>(),
    SubsystemEntry::of::<JobDispatcherSubsystem>(),
    SubsystemEntry::of::<JobBufferSubsystem>(),
    SubsystemEntry::of::<WorkflowStarterSubsystem>(),
    SubsystemEntry::of::<FunctionSubsystem>(),
    SubsystemEntry::of::<ClusterSubsystem>(),
    SubsystemEntry::of::<DashboardSubsystem>(),
    SubsystemEntry::of::<ReactorSubsystem>(),
    SubsystemEntry::of::<JobSubsystem>(),
    SubsystemEntry::of::<CronSubsystem>(),
    SubsystemEntry::of::<WorkflowSubsystem>(),
    SubsystemEntry::of::<GatewaySubsystem>(),
];

/// What a node is made of. What a subsystem needs beyond this it takes from `sections`.
pub struct NodeOptions {
    /// Who the node is.
    pub profile: NodeProfile,
    /// The configuration of the subsystems.
    pub sections: Sections,
    /// The handlers.
    pub catalog: Arc<Catalog>,
    /// The pools, which are not connected yet.
    pub database: Database,
    /// The children that make the database usable, in start order.
    pub database_children: Vec<ChildSpec>,
    /// Signs and verifies tokens; without it nobody is signed in.
    pub tokens: Option<Tokens>,
    /// The HTTP client of actions.
    pub http: reqwest::Client,
    /// The mesh, whose port is open; `None` for a node by itself.
    pub mesh: Option<MeshOptions>,
    /// The HTTP gateway; `None` for a node that serves no HTTP.
    pub gateway: Option<GatewayOptions>,
    /// Hash of the generated client that fits these handlers; sessions send it to pages.
    pub contract: Option<Arc<str>>,
    /// Tells nodes of another version of these jobs apart.
    pub build: Build,
}

/// A running node.
pub struct RunningNode {
    root: Root,
    readiness: Readiness,
    functions: Functions,
    cluster: Cluster,
    address: Option<SocketAddr>,
    tree: Arc<Tree>,
    drains: Vec<Hook>,
    /// Time for load balancers to notice that the node is not ready.
    drain_delay: Duration,
}

impl RunningNode {
    /// Builds the subsystems and starts everything, in order. Must run inside of a tokio runtime.
    ///
    /// # Errors
    /// The error of the first child that does not start; what had started is stopped again.
    pub async fn start(options: NodeOptions) -> Result<Self, StartError> {
        let tree = Tree::new();
        let checks: Vec<_> =
            SUBSYSTEMS.iter().filter_map(|entry| entry.check).map(|rule| rule.name).collect();
        let readiness = Readiness::new(&checks);
        let drain_delay = match options.gateway {
            Some(_) => options.sections.get::<GatewayConfig>().drain_delay,
            None => Duration::ZERO,
        };
        let profile = &options.profile;
        let view = NodeView::new(profile.id, profile.name.as_str(), Arc::clone(&tree), SUBSYSTEMS)
            .serving(profile.application.clone());
        let mut node = provide(options, Arc::clone(&tree), readiness.clone(), view.clone());
        let Built { mut children, stats, conditions, started, drains } = Built::all(&mut node)?;
        let stats = move || {
            let mut all = NodeStats::default();
            stats.iter().for_each(|fill| fill(&mut all));
            all
        };
        view.set_sources(NodeSources { stats: Box::new(stats), peers: node.find::<Arc<dyn Peers>>() });
        let watcher = ReadinessWatcher::new(Arc::clone(&tree), readiness.clone(), conditions);
        children.push(watcher.clone().child());
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        let root = Root::start(NODE.id(), spec, Arc::clone(&tree)).await?;
        started.into_iter().for_each(|hook| hook());
        watcher.compare();
        let functions = node.get::<Functions>();
        let (cluster, address) = (node.get::<Cluster>(), node.find::<HttpAddress>());
        let address = address.map(|bound| bound.0);
        Ok(Self { root, readiness, functions, cluster, address, tree, drains, drain_delay })
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
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Waits until the tree ends by itself, which it only does when it gives up. May be cancelled and called
    /// again.
    pub async fn wait(&mut self) -> RootExit {
        self.root.wait().await
    }

    /// Answers "not ready" from now on and serves on for `gateway.drain_delay`; then lets what runs end, and
    /// stops everything in reverse order.
    ///
    /// # Errors
    /// The paths of the actors that had to be killed because they did not stop within `deadline`.
    pub async fn stop(self, deadline: Duration) -> Result<(), StopTimeout> {
        self.readiness.drain();
        self.drains.into_iter().rev().for_each(|hook| hook());
        // A tree that stops starts no session, and load balancers still send clients here.
        tokio::time::sleep(self.drain_delay).await;
        self.root.stop(deadline).await
    }
}

/// The tables whose changes may be captured: those of the models, and one of Forge's own, by which live
/// queries follow jobs.
pub fn reactive_tables() -> ReactiveModels {
    let models = ModelRegistration::all().into_iter().map(|model| (model.table, model.reactive));
    ReactiveModels(models.chain([(JOB_PROGRESS_TABLE, Some(true))]).collect())
}

/// Gives the subsystems what exists before them.
fn provide(options: NodeOptions, tree: Arc<Tree>, readiness: Readiness, view: NodeView) -> NodeBuilder {
    let mut node = NodeBuilder::new(options.profile, options.sections);
    node.provide(reactive_tables());
    node.provide(tree);
    node.provide(readiness);
    node.provide(view);
    node.provide::<Arc<dyn BeginCronRun>>(Arc::new(CronRunBeginner));
    node.provide(options.build);
    node.provide(options.catalog);
    node.provide(options.database);
    node.provide(DatabaseChildren(options.database_children));
    node.provide(options.http);
    options.tokens.into_iter().for_each(|tokens| node.provide(tokens));
    options.mesh.into_iter().for_each(|mesh| node.provide(mesh));
    options.contract.into_iter().for_each(|contract| node.provide(ClientContract(contract)));
    if let Some(gateway) = options.gateway {
        node.provide(HttpAddress(gateway.port.address()));
        node.provide(gateway.metrics.clone());
        node.provide(gateway);
    }
    node
}

/// What the subsystems of a node have left with it, each in the order of the table.
#[derive(Default)]
struct Built {
    children: Vec<ChildSpec>,
    stats: Vec<FillStats>,
    conditions: Vec<(ReadinessRule, Vec<Box<dyn Health>>)>,
    started: Vec<Hook>,
    drains: Vec<Hook>,
}

impl Built {
    fn all(node: &mut NodeBuilder) -> Result<Self, StartError> {
        let mut built = Self::default();
        for entry in SUBSYSTEMS {
            let part = (entry.build)(node)?;
            let mut health = Vec::new();
            if let Some(part) = part {
                built.children.push(part.child);
                built.stats.extend(part.stats);
                built.started.extend(part.started);
                built.drains.extend(part.drain);
                health = part.health;
            }
            built.conditions.extend(entry.check.map(|rule| (rule, health)));
        }
        Ok(built)
    }
}
