//! The rows of the actor table: the actors of all nodes, searched, folded, sorted and cut to a window. Pure,
//! so that ten thousand actors can be tested.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::app::node::NodeReport;
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::time::Timestamp;
use crate::supervise::{ActorInfo, ActorState, CurrentMessage, CurrentWork};

/// The order of the rows.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ActorSort {
    /// Parents before children, as the supervisors start them.
    #[default]
    Tree,
    /// Fullest mailbox first.
    Mailbox,
    /// Most messages per second first.
    Rate,
    /// Most restarts first.
    Restarts,
    /// Longest current message first, then most busy time.
    Busy,
}

/// The rows that a page asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeRequest {
    pub(super) node: Option<NodeId>,
    /// In lower case; an empty text finds every actor.
    pub(super) search: String,
    pub(super) sort: ActorSort,
    /// `node:path` of the branches whose children are hidden. Only [`ActorSort::Tree`] hides them.
    pub(super) collapsed: HashSet<String>,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// A window over the rows.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct ActorPage {
    /// When the page was made.
    pub at: Timestamp,
    /// Number of rows outside of the window as well.
    pub total: u32,
    /// The rows of the window.
    pub rows: Vec<ActorRow>,
}

/// One actor of one node.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct ActorRow {
    /// The actor's node.
    pub node: NodeId,
    /// Name of the node.
    pub node_name: String,
    /// Path of the actor: ids from the root down.
    pub path: String,
    /// The last id of the path; for a root the name of the node.
    pub name: String,
    /// Supervisors above the actor; 0 for a root.
    pub depth: u32,
    /// Kind of actor, as its code names it.
    pub kind: String,
    /// State of the actor.
    pub state: ActorState,
    /// Messages that wait or are being handled.
    pub mailbox: u32,
    /// Depth at which senders are refused.
    pub mailbox_max: u32,
    /// Messages handled per second.
    pub rate: f64,
    /// Messages handled since its first start.
    pub handled: Int53,
    /// Restarts since its first start.
    pub restarts: u32,
    /// First line of the cause of its last crash.
    pub last_error: Option<String>,
    /// The message that is being handled.
    pub current: Option<ShownMessage>,
    /// Actors below this one, at any depth.
    pub children: u32,
    /// True for a supervisor.
    pub supervisor: bool,
    /// Milliseconds since its last start.
    pub uptime_ms: f64,
}

/// The message that an actor handles.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct ShownMessage {
    /// Variant of the message.
    pub name: String,
    /// Milliseconds since its handler began.
    pub for_ms: Int53,
    /// What the actor works on meanwhile: the job of a worker.
    pub work: Option<CurrentWork>,
}

impl From<&CurrentMessage> for ShownMessage {
    fn from(current: &CurrentMessage) -> Self {
        Self { name: current.name.to_owned(), for_ms: current.for_ms, work: current.work.clone() }
    }
}

/// An actor of one node, before it becomes a row.
#[derive(Clone, Copy)]
struct NodeActor<'a> {
    report: &'a NodeReport,
    actor: &'a ActorInfo,
    children: u32,
}

/// The rows of `reports` that `request` asks for, at the time `now`.
pub(super) fn page(reports: &[Arc<NodeReport>], request: &TreeRequest, now: Timestamp) -> ActorPage {
    let of_node = reports.iter().filter(|report| request.node.is_none_or(|node| node == report.node));
    let mut found: Vec<NodeActor<'_>> = of_node.flat_map(|report| visible(report, request)).collect();
    sort(&mut found, request.sort);
    let rows = found.iter().skip(request.offset).take(request.limit).map(|found| row(*found, now)).collect();
    ActorPage { at: now, total: u32::try_from(found.len()).unwrap_or(u32::MAX), rows }
}

/// The row of one actor, for its detail panel.
pub(super) fn row_of(report: &NodeReport, actor: &ActorInfo, now: Timestamp) -> ActorRow {
    let children = descendants(report).get(actor.path.as_str()).copied().unwrap_or_default();
    row(NodeActor { report, actor, children }, now)
}

/// The number of actors below each path.
fn descendants(report: &NodeReport) -> HashMap<&str, u32> {
    let mut below = HashMap::new();
    for actor in &report.actors {
        for (end, _) in actor.path.match_indices('/') {
            *below.entry(&actor.path[..end]).or_default() += 1;
        }
    }
    below
}

fn visible<'a>(report: &'a NodeReport, request: &TreeRequest) -> Vec<NodeActor<'a>> {
    let below = descendants(report);
    let matched = matching(report, request);
    let folded = folded(report, request);
    let shown = report
        .actors
        .iter()
        .filter(|actor| matched.as_ref().is_none_or(|matched| matched.contains(actor.path.as_str())));
    let open = shown
        .filter(|actor| folded.is_empty() || !ancestors(&actor.path).any(|above| folded.contains(above)));
    open.map(|actor| NodeActor {
        report,
        actor,
        children: below.get(actor.path.as_str()).copied().unwrap_or_default(),
    })
    .collect()
}

/// The paths that a search finds; in the order of the tree their ancestors as well. `None`: every actor.
fn matching<'a>(report: &'a NodeReport, request: &TreeRequest) -> Option<HashSet<&'a str>> {
    if request.search.is_empty() {
        return None;
    }
    let matches = |text: &str| text.to_lowercase().contains(&request.search);
    let whole_node = matches(&report.name);
    let hits = report.actors.iter().filter(|actor| {
        whole_node
            || matches(&actor.path)
            || matches(&actor.kind)
            || actor.last_error.as_deref().is_some_and(matches)
            || work_of(actor).is_some_and(|work| matches(&work.handler) || matches(&work.id))
    });
    let mut matched: HashSet<&str> = hits.map(|actor| actor.path.as_str()).collect();
    if request.sort == ActorSort::Tree {
        let above: Vec<&str> = matched.iter().flat_map(|path| ancestors(path)).collect();
        matched.extend(above);
    }
    Some(matched)
}

fn work_of(actor: &ActorInfo) -> Option<&CurrentWork> {
    actor.current.as_ref()?.work.as_ref()
}

fn folded<'a>(report: &'a NodeReport, request: &TreeRequest) -> HashSet<&'a str> {
    if request.sort != ActorSort::Tree || request.collapsed.is_empty() {
        return HashSet::new();
    }
    let key = |path: &str| format!("{}:{path}", report.node);
    report
        .actors
        .iter()
        .map(|actor| actor.path.as_str())
        .filter(|path| request.collapsed.contains(&key(path)))
        .collect()
}

/// The paths above `path`, from the root down.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

fn sort(found: &mut [NodeActor<'_>], by: ActorSort) {
    // Stable, so that equals keep the order of the tree. Greatest first.
    let greatest = |a: f64, b: f64| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
    match by {
        ActorSort::Tree => {}
        ActorSort::Mailbox => found.sort_by_key(|found| std::cmp::Reverse(found.actor.mailbox_depth)),
        ActorSort::Rate => found.sort_by(|a, b| greatest(a.actor.rate, b.actor.rate)),
        ActorSort::Restarts => found.sort_by_key(|found| std::cmp::Reverse(found.actor.restarts)),
        ActorSort::Busy => found.sort_by_key(|found| {
            let current = found.actor.current.as_ref().map(|current| current.for_ms);
            std::cmp::Reverse((current, found.actor.busy_ms))
        }),
    }
}

fn row(NodeActor { report, actor, children }: NodeActor<'_>, now: Timestamp) -> ActorRow {
    let depth = actor.path.matches('/').count();
    let name = actor.path.rsplit('/').next().filter(|_| depth > 0).unwrap_or(&report.name);
    let narrow = |wide: Int53| u32::try_from(wide.get()).unwrap_or(u32::MAX);
    let uptime = actor.started_at.map(|at| (now - at).num_milliseconds().max(0) as f64);
    let last_error = actor.last_error.as_deref().and_then(|error| error.lines().next()).map(Cow::from);
    ActorRow {
        node: report.node,
        node_name: report.name.to_owned(),
        path: actor.path.to_owned(),
        name: name.to_owned(),
        depth: u32::try_from(depth).unwrap_or(u32::MAX),
        kind: actor.kind.to_owned(),
        state: actor.state,
        mailbox: narrow(actor.mailbox_depth),
        mailbox_max: narrow(actor.mailbox_max),
        rate: actor.rate,
        handled: actor.handled,
        restarts: narrow(actor.restarts),
        last_error: last_error.map(Cow::into_owned),
        current: actor.current.as_ref().map(ShownMessage::from),
        children,
        supervisor: actor.supervisor.is_some(),
        uptime_ms: uptime.unwrap_or_default(),
    }
}
