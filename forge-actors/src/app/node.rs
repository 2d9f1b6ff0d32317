//! The node that a handler runs on, for the handlers that report on it: its actors, its statistics, and the
//! last reports of the other nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::invocation::Invocation;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::node::{ApplicationInfo, NodeInfo, WorkerInfo};
use crate::kernel::time::Timestamp;
use crate::subsystem::{NodeStats, SubsystemEntry};
use crate::supervise::{ActorInfo, LifecycleEvent, Tree};

/// A node's report that is older than this is not shown.
const REPORT_AGE_MAX: Duration = Duration::from_secs(5);

/// Commands that wait to be carried out; a further one is refused.
const DEFERRED_MAX: usize = 64;

/// The node that a handler runs on. A clone is a view of the same node.
#[derive(Clone)]
pub struct NodeView {
    /// The node's id.
    pub id: NodeId,
    /// The node's name, as people read it.
    pub name: Arc<str>,
    /// What it serves.
    pub application: Arc<ApplicationInfo>,
    /// Its actors.
    pub tree: Arc<Tree>,
    /// Its kinds of subsystem, whether they run on this node or not.
    pub subsystems: &'static [SubsystemEntry],
    /// The last reports of the other nodes.
    pub reports: Arc<NodeReportCache>,
    /// Commands that are carried out after their answer was sent.
    pub deferred: Arc<DeferredCommands>,
    sources: Arc<OnceLock<NodeSources>>,
}

/// A command about an actor that would cut off its own answer if it were carried out at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferredCommand {
    /// Path of the actor.
    pub path: String,
    /// True: stop it. False: restart it.
    pub stop: bool,
}

/// Commands that wait to be carried out.
#[derive(Debug, Default)]
pub struct DeferredCommands {
    waiting: MergeSlot<Vec<DeferredCommand>>,
}

impl DeferredCommands {
    /// Adds a command. False when too many wait, and then the command is not added.
    pub fn add(&self, command: DeferredCommand) -> bool {
        let mut added = false;
        self.waiting.put(|waiting| {
            let waiting = waiting.get_or_insert_default();
            added = waiting.len() < DEFERRED_MAX;
            if added {
                waiting.push(command);
            }
        });
        added
    }

    /// Waits for commands and removes them all.
    pub async fn take(&self) -> Vec<DeferredCommand> {
        self.waiting.take().await
    }
}

/// Where a view gets its figures from. The subsystems are built after the contexts that show them, so these
/// are set once, before the node starts.
pub struct NodeSources {
    /// Reads the statistics of all subsystems.
    pub stats: Box<dyn Fn() -> NodeStats + Send + Sync>,
    /// The other nodes; `None` for a node without a cluster.
    pub peers: Option<Arc<dyn Peers>>,
}

/// A hash of the jobs of a binary and of the types of their arguments. Nodes of one build can read the
/// arguments of the same jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build(pub Arc<str>);

/// The other nodes of the mesh.
pub trait Peers: Send + Sync + 'static {
    /// Every peer that this node knows, linked or not.
    fn list(&self) -> Vec<PeerInfo>;

    /// The rows of `forge_nodes` that are shown, oldest process first, read in the transaction of `db`: nodes
    /// that run, and nodes that ended within the last hour and did not come back under their name.
    fn registered<'a>(&self, db: &'a Db) -> BoxFuture<'a, sqlx::Result<Vec<NodeInfo>>>;

    /// The builds of the nodes that have a role and are not dead; `None` for nodes of a version that writes
    /// no build.
    fn builds<'a>(&'a self, db: &'a Db, role: &'a str) -> BoxFuture<'a, sqlx::Result<Vec<Option<String>>>>;

    /// True when every node that has a role and is not dead is of a version that rescues batch leases of
    /// jobs.
    fn rescue_batches<'a>(&'a self, db: &'a Db, role: &'a str) -> BoxFuture<'a, sqlx::Result<bool>>;

    /// The nodes that have a role and run, by name.
    fn workers<'a>(&self, db: &'a Db, role: &'a str) -> BoxFuture<'a, sqlx::Result<Vec<WorkerInfo>>>;

    /// The nodes that ended last, newest first, also those that came back under their name.
    fn ended<'a>(&self, db: &'a Db) -> BoxFuture<'a, sqlx::Result<Vec<NodeInfo>>>;

    /// Runs a handler on `node`, internal ones included, and waits for its answer for at most `deadline`.
    fn invoke(
        &self,
        node: NodeId,
        invocation: Invocation,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, Fault>>;
}

/// One peer, as this node sees it.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct PeerInfo {
    /// The peer's id.
    pub node: NodeId,
    /// The peer's name.
    pub name: String,
    /// Where its mesh listener is.
    pub address: String,
    /// True while there is a connection to it.
    pub linked: bool,
    /// When the connection was made or lost.
    pub since: Option<Timestamp>,
    /// The last round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Frames that wait to be sent.
    pub queue: u32,
    /// Hints that were dropped because the peer was slow. It then reads all changes instead.
    pub dropped: Int53,
    /// Why the last attempt to connect failed.
    pub error: Option<String>,
}

/// One node at one moment.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// The node's id.
    pub node: NodeId,
    /// The node's name.
    pub name: String,
    /// When the report was made, by the clock of that node.
    pub at: Timestamp,
    /// Its actors, parents before children.
    pub actors: Vec<ActorInfo>,
    /// The newest events of its actors, oldest first.
    pub events: Vec<LifecycleEvent>,
    /// How busy the node is. Its name on the wire is that of the version before, so that nodes of both
    /// versions read each other's reports.
    #[serde(rename = "vitals")]
    pub stats: NodeStats,
    /// Its connections.
    pub peers: Vec<PeerInfo>,
}

impl NodeView {
    /// A node whose subsystems are still to be built.
    pub fn new(
        id: NodeId,
        name: impl Into<Arc<str>>,
        tree: Arc<Tree>,
        subsystems: &'static [SubsystemEntry],
    ) -> Self {
        Self {
            id,
            name: name.into(),
            application: Arc::default(),
            tree,
            subsystems,
            reports: Arc::default(),
            deferred: Arc::default(),
            sources: Arc::default(),
        }
    }

    /// The same node with the application that it serves.
    #[must_use]
    pub fn serving(self, application: ApplicationInfo) -> Self {
        Self { application: Arc::new(application), ..self }
    }

    /// Sets where the figures come from.
    ///
    /// # Panics
    /// When they are set already.
    pub fn set_sources(&self, sources: NodeSources) {
        self.sources.set(sources).unwrap_or_else(|_| panic!("the sources of {} are set already", self.id));
    }

    /// The other nodes; `None` for a node without a cluster.
    pub fn peers(&self) -> Option<&Arc<dyn Peers>> {
        self.sources.get()?.peers.as_ref()
    }

    /// The registered nodes, as [`Peers::registered`] reads them; none on a node without a cluster.
    ///
    /// # Errors
    /// Those of the statement.
    pub async fn registered_nodes(&self, db: &Db) -> sqlx::Result<Vec<NodeInfo>> {
        match self.peers() {
            Some(peers) => peers.registered(db).await,
            None => Ok(Vec::new()),
        }
    }

    /// The nodes with a role, as [`Peers::workers`] reads them; `None` on a node without a cluster.
    ///
    /// # Errors
    /// Those of the statement.
    pub async fn workers(&self, db: &Db, role: &str) -> sqlx::Result<Option<Vec<WorkerInfo>>> {
        match self.peers() {
            Some(peers) => peers.workers(db, role).await.map(Some),
            None => Ok(None),
        }
    }

    /// The nodes that ended last, as [`Peers::ended`] reads them; none on a node without a cluster.
    ///
    /// # Errors
    /// Those of the statement.
    pub async fn ended_nodes(&self, db: &Db) -> sqlx::Result<Vec<NodeInfo>> {
        match self.peers() {
            Some(peers) => peers.ended(db).await,
            None => Ok(Vec::new()),
        }
    }

    /// How busy the node is now.
    pub fn stats(&self) -> NodeStats {
        self.sources.get().map(|sources| (sources.stats)()).unwrap_or_default()
    }

    /// The node as it is now, with at most `events` of its newest events.
    pub fn report(&self, events: usize) -> NodeReport {
        let seq = self.tree.journal().events_last().saturating_sub(events as u64);
        NodeReport {
            node: self.id,
            name: self.name.to_string(),
            at: chrono::Utc::now(),
            actors: self.tree.snapshot(),
            events: self.tree.journal().events_since(seq).entries,
            stats: self.stats(),
            peers: self.peers().map(|peers| peers.list()).unwrap_or_default(),
        }
    }
}

/// The last reports of the other nodes. Reading them keeps the collector at work: without readers no node is
/// asked.
#[derive(Debug, Default)]
pub struct NodeReportCache {
    reports: ArcSwap<BTreeMap<NodeId, (Instant, Arc<NodeReport>)>>,
    last_read: ArcSwap<Option<Instant>>,
    request: Notify,
}

impl NodeReportCache {
    /// The reports that are fresh enough to be shown, by node. The first read after a pause finds none.
    pub fn read(&self) -> Vec<Arc<NodeReport>> {
        self.last_read.store(Arc::new(Some(Instant::now())));
        self.request.notify_one();
        let reports = self.reports.load();
        let fresh = reports.values().filter(|(at, _)| at.elapsed() < REPORT_AGE_MAX);
        fresh.map(|(_, report)| Arc::clone(report)).collect()
    }

    /// How old the report of a node is; `None` when there is none.
    pub fn age(&self, node: NodeId) -> Option<Duration> {
        self.reports.load().get(&node).map(|(at, _)| at.elapsed())
    }

    /// Waits until the reports are read.
    pub async fn requested(&self) {
        self.request.notified().await;
    }

    /// True when the reports were read within `window`.
    pub fn was_read_within(&self, window: Duration) -> bool {
        self.last_read.load().is_some_and(|at| at.elapsed() < window)
    }

    /// Stores reports that were made now, and removes those that have become too old.
    pub fn store(&self, reports: impl IntoIterator<Item = NodeReport>) {
        let now = Instant::now();
        let mut kept: BTreeMap<_, _> = BTreeMap::clone(&self.reports.load());
        kept.retain(|_, (at, _)| at.elapsed() < REPORT_AGE_MAX);
        kept.extend(reports.into_iter().map(|report| (report.node, (now, Arc::new(report)))));
        self.reports.store(Arc::new(kept));
    }
}
