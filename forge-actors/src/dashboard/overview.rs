//! `forge.overview`: the state of the cluster on one page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::app::node::{NodeReport, NodeView, PeerInfo};
use crate::app::{QueryContext, Result};
use crate::dashboard::actor::{ActorEvent, actor_event};
use crate::dashboard::report;
use crate::job::admin::{self, JobCounts};
use crate::kernel::ids::NodeId;
use crate::kernel::node::{ApplicationInfo, NodeInfo, NodeState};
use crate::kernel::time::{Timestamp, fractional_millis};
use crate::subsystem::NodeStats;
use crate::supervise::{EventKind, LifecycleEvent};
use crate::telemetry::store;

/// Events of the feed.
const EVENTS_MAX: usize = 50;

/// The whole cluster at one moment.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct ClusterOverview {
    /// When it was put together, by the clock of the node that answers.
    pub at: Timestamp,
    /// What the node that answers serves.
    pub application: ApplicationInfo,
    /// Every registered node, by name. A node that ended stays for an hour, unless it came back under its
    /// name.
    pub nodes: Vec<NodeStatus>,
    /// The nodes that ended within the last hour, newest first, also those that came back; 20 at most.
    pub ended: Vec<NodeInfo>,
    /// How many jobs there are.
    pub jobs: JobCounts,
    /// Crashes of the last 24 hours, over all nodes.
    pub crashes24h: u32,
    /// The newest events of the actors of all nodes, newest first.
    pub events: Vec<ActorEvent>,
}

/// One registered node.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// Id of the node.
    pub id: NodeId,
    /// Name of the node.
    pub name: String,
    /// Where it is in its life, as its row in `forge_nodes` says.
    pub state: NodeState,
    /// Roles of the node.
    pub roles: Vec<String>,
    /// The version it runs.
    pub version: String,
    /// Where it answers HTTP.
    pub address: Option<String>,
    /// When its process started.
    pub started_at: Timestamp,
    /// Its last sign of life, by the database's clock.
    pub seen_at: Timestamp,
    /// When it ended or was declared dead.
    pub ended_at: Option<Timestamp>,
    /// True when another node declared it dead; a node that stops in order marks itself.
    pub lost: bool,
    /// The node that answers is this one.
    pub here: bool,
    /// Load of the node; null while the node sends no report.
    pub stats: Option<NodeStats>,
    /// How old `stats` is, in milliseconds; null without a report.
    pub stats_age_ms: Option<f64>,
    /// Its links to the others.
    pub peers: Vec<PeerInfo>,
}

/// The state of every node, the number of jobs, and the newest events of the cluster.
#[forge_app_macros::query(name = "forge.overview", role = "admin", refresh = "1s")]
pub async fn overview(ctx: &QueryContext) -> Result<ClusterOverview> {
    let reports = report::all(ctx);
    let mut registered = ctx.node().registered_nodes(ctx.db()).await?;
    registered.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let ended = ctx.node().ended_nodes(ctx.db()).await?;
    let jobs = admin::count(ctx.db()).await?;
    let crashes24h = store::count_crashes(ctx.db()).await?;
    let by_node: BTreeMap<NodeId, &Arc<NodeReport>> =
        reports.iter().map(|report| (report.node, report)).collect();
    let nodes = registered.into_iter().map(|node| node_status(node, ctx.node(), &by_node)).collect();
    Ok(ClusterOverview {
        at: chrono::Utc::now(),
        application: ctx.node().application.as_ref().clone(),
        nodes,
        ended,
        jobs,
        crashes24h,
        events: feed(&reports),
    })
}

fn node_status(node: NodeInfo, view: &NodeView, by_node: &BTreeMap<NodeId, &Arc<NodeReport>>) -> NodeStatus {
    let report = by_node.get(&node.id);
    let here = node.id == view.id;
    let age = if here { Some(Duration::ZERO) } else { view.reports.age(node.id) };
    NodeStatus {
        id: node.id,
        name: node.name,
        state: node.state,
        roles: node.roles,
        version: node.version,
        address: node.address,
        started_at: node.started_at,
        seen_at: node.seen_at,
        ended_at: node.ended_at,
        lost: node.lost,
        here,
        stats: report.map(|report| report.stats.clone()),
        stats_age_ms: report.and(age).map(fractional_millis),
        peers: report.map(|report| report.peers.to_vec()).unwrap_or_default(),
    }
}

fn feed(reports: &[Arc<NodeReport>]) -> Vec<ActorEvent> {
    let events = reports.iter().flat_map(|report| report.events.iter().map(|event| (report.node, event)));
    let events = events.filter(|(_, event)| !is_coming_and_going(event));
    let mut newest: Vec<_> = events.collect();
    newest.sort_by_key(|(_, event)| std::cmp::Reverse(event.at));
    newest
        .into_iter()
        .take(EVENTS_MAX)
        .map(|(node, event)| actor_event(node, event.at, &event.path, &event.kind))
        .collect()
}

/// Clients come and go all the time; the other events would be hard to find among them.
fn is_coming_and_going(event: &LifecycleEvent) -> bool {
    event.path.contains("/sessions/")
        && matches!(event.kind, EventKind::Started | EventKind::Stopped { killed: false })
}
