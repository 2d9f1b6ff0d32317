//! The node, for handlers that report on it: its actors, how busy it is, and what its peers last said of
//! themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::db::database::DatabaseUsage;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::invocation::Invocation;
use crate::kernel::node::NodeInfo;
use crate::kernel::slot::Slot;
use crate::kernel::time::Timestamp;
use crate::supervise::{ActorInfo, Event, Tree};

/// A peer's report that is older than this is no longer shown.
const REPORT_AGE_MAX: Duration = Duration::from_secs(5);

/// Orders that wait to be carried out; one more is refused.
const DEFERRED_MAX: usize = 64;

/// The node that a handler runs on.
#[derive(Clone)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Its name, as people read it.
    pub name: Arc<str>,
    /// Its actors.
    pub tree: Arc<Tree>,
    /// What the other nodes said of themselves.
    pub board: Arc<ReportBoard>,
    /// What was asked of it and waits for its answer to leave.
    pub deferred: Arc<DeferredOrders>,
    rooms: Arc<OnceLock<NodeRooms>>,
}

/// An order about an actor that would cut off its own answer if it were carried out at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferredOrder {
    /// The actor.
    pub path: String,
    /// To stop it; otherwise to restart it.
    pub stop: bool,
}

/// The orders that somebody carries out later.
#[derive(Debug, Default)]
pub struct DeferredOrders {
    waiting: Slot<Vec<DeferredOrder>>,
}

impl DeferredOrders {
    /// Leaves an order; false when too many wait.
    pub fn leave(&self, order: DeferredOrder) -> bool {
        let mut left = false;
        self.waiting.put(|waiting| {
            let waiting = waiting.get_or_insert_default();
            left = waiting.len() < DEFERRED_MAX;
            if left {
                waiting.push(order);
            }
        });
        left
    }

    /// Waits until there are some.
    pub async fn take(&self) -> Vec<DeferredOrder> {
        self.waiting.take().await
    }
}

/// What a node's rooms tell; they are made after the contexts that show them.
pub struct NodeRooms {
    /// How busy it is.
    pub vitals: Box<dyn Fn() -> Vitals + Send + Sync>,
    /// The other nodes; `None` for a node without a mesh.
    pub peers: Option<Arc<dyn Peers>>,
}

/// The other nodes of the mesh.
pub trait Peers: Send + Sync + 'static {
    /// Every peer that this node knows, linked or not.
    fn list(&self) -> Vec<PeerInfo>;

    /// The rows of `forge_nodes` that are shown, oldest process first, read in the transaction of `db`: nodes
    /// that run, and nodes that died within the last hour and have no successor.
    fn registered<'a>(&self, db: &'a Db) -> BoxFuture<'a, sqlx::Result<Vec<NodeInfo>>>;

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
    /// The peer.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where its mesh listener is.
    pub address: String,
    /// True while the link stands.
    pub linked: bool,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// The last round trip.
    pub rtt_ms: Option<f64>,
    /// Frames that wait to be sent.
    pub queue: u32,
    /// Hints that were dropped because the peer was slow; it then looked at everything.
    pub dropped: Int53,
    /// Why it could not be reached the last time.
    pub error: Option<String>,
}

/// How busy a node is: gauges of this moment, and counters since its start.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, Default)]
pub struct Vitals {
    /// Open WebSocket sessions.
    pub sessions: Int53,
    /// Live queries that sessions are subscribed to.
    pub subscriptions: Int53,
    /// Executions that they share.
    pub query_groups: Int53,
    /// Ticks of the reactor.
    pub ticks: Int53,
    /// How long the last tick took.
    pub last_tick_ms: f64,
    /// From the last heard commit to its results being handed to sessions.
    pub change_lag_ms: f64,
    /// Calls since the start.
    pub calls: Int53,
    /// Those of them that failed by the node's fault: panics, timeouts, internal errors.
    pub errors: Int53,
    /// Calls that run now.
    pub in_flight: Int53,
    /// The database answers.
    pub database_up: bool,
    /// How full the pools are.
    pub database: Option<DatabaseUsage>,
}

/// One node at one moment.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// When it was made, by that node's clock.
    pub at: Timestamp,
    /// Parents before children.
    pub actors: Vec<ActorInfo>,
    /// The newest steps in the lives of its actors, oldest first.
    pub events: Vec<Event>,
    /// How busy it is.
    pub vitals: Vitals,
    /// Its links.
    pub peers: Vec<PeerInfo>,
}

impl NodeView {
    /// A node whose rooms are still being made.
    pub fn new(id: NodeId, name: impl Into<Arc<str>>, tree: Arc<Tree>) -> Self {
        Self {
            id,
            name: name.into(),
            tree,
            board: Arc::default(),
            deferred: Arc::default(),
            rooms: Arc::default(),
        }
    }

    /// Says where the rooms are. Once: a node has one of each.
    pub fn open(&self, rooms: NodeRooms) {
        self.rooms.set(rooms).unwrap_or_else(|_| panic!("the rooms of {} are known already", self.id));
    }

    /// The other nodes.
    pub fn peers(&self) -> Option<&Arc<dyn Peers>> {
        self.rooms.get()?.peers.as_ref()
    }

    /// The registered nodes, as [`Peers::registered`] reads them; none while the node is still being made.
    pub async fn registered_nodes(&self, db: &Db) -> sqlx::Result<Vec<NodeInfo>> {
        match self.peers() {
            Some(peers) => peers.registered(db).await,
            None => Ok(Vec::new()),
        }
    }

    /// The node as it is now. `events` bounds how many of the newest events it carries.
    pub fn report(&self, events: usize) -> NodeReport {
        let seq = self.tree.journal().events_last().saturating_sub(events as u64);
        NodeReport {
            node: self.id,
            name: self.name.to_string(),
            at: chrono::Utc::now(),
            actors: self.tree.snapshot(),
            events: self.tree.journal().events_since(seq).entries,
            vitals: self.rooms.get().map(|rooms| (rooms.vitals)()).unwrap_or_default(),
            peers: self.peers().map(|peers| peers.list()).unwrap_or_default(),
        }
    }
}

/// What the peers last said, kept while somebody looks: asking for it is what keeps the collector at work.
#[derive(Debug, Default)]
pub struct ReportBoard {
    reports: ArcSwap<BTreeMap<NodeId, (Instant, Arc<NodeReport>)>>,
    asked: ArcSwap<Option<Instant>>,
    wanted: Notify,
}

impl ReportBoard {
    /// The reports of the peers that are fresh enough to be shown, by node. The first look after a pause
    /// finds none.
    pub fn look(&self) -> Vec<Arc<NodeReport>> {
        self.asked.store(Arc::new(Some(Instant::now())));
        self.wanted.notify_one();
        let reports = self.reports.load();
        reports
            .values()
            .filter(|(at, _)| at.elapsed() < REPORT_AGE_MAX)
            .map(|(_, report)| Arc::clone(report))
            .collect()
    }

    /// Waits until somebody looks.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Somebody looked within `window`.
    pub fn is_watched(&self, window: Duration) -> bool {
        self.asked.load().is_some_and(|at| at.elapsed() < window)
    }

    /// Puts up what the peers said now, and takes down what has become too old.
    pub fn put_up(&self, reports: impl IntoIterator<Item = NodeReport>) {
        let now = Instant::now();
        let mut board: BTreeMap<_, _> = BTreeMap::clone(&self.reports.load());
        board.retain(|_, (at, _)| at.elapsed() < REPORT_AGE_MAX);
        board.extend(reports.into_iter().map(|report| (report.node, (now, Arc::new(report)))));
        self.reports.store(Arc::new(board));
    }
}
