//! Which rows of all nodes' actors a page shows: searched, folded, sorted, cut. Pure, so that ten thousand
//! actors can be tested.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::app::node::NodeReport;
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::time::Timestamp;
use crate::supervise::{ActorInfo, ActorState, CurrentMessage};

/// In which order rows come.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
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

/// What a page asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) node: Option<NodeId>,
    /// In lower case; empty finds everything.
    pub(super) search: String,
    pub(super) sort: Sort,
    /// `node:path` of branches whose children are hidden; they are hidden in the order of the tree only.
    pub(super) collapsed: HashSet<String>,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// Some rows, and how many there are in all.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct Page {
    /// When it was put together.
    pub at: Timestamp,
    /// Rows before they were cut to a window.
    pub total: u32,
    /// The window.
    pub rows: Vec<Row>,
}

/// One actor of one node.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub node_name: String,
    /// Ids from the root down.
    pub path: String,
    /// The last of them; of a root the node's name.
    pub name: String,
    /// How deep it stands; a root at 0.
    pub depth: u32,
    /// What it is.
    pub kind: String,
    /// State of its life.
    pub state: ActorState,
    /// Messages that wait or are being handled.
    pub mailbox: u32,
    /// Depth at which senders are refused.
    pub mailbox_max: u32,
    /// Messages handled per second.
    pub rate: f64,
    /// Messages handled since its first start.
    pub handled: Int53,
    /// How often it was started again.
    pub restarts: u32,
    /// First line of the cause of its last crash.
    pub last_error: Option<String>,
    /// The message that is being handled.
    pub current: Option<Current>,
    /// Actors below it, at any depth.
    pub children: u32,
    /// It supervises others.
    pub supervisor: bool,
    /// Since its last start.
    pub uptime_ms: f64,
}

/// The message that an actor handles.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    /// Name of the message's variant.
    pub name: String,
    /// For how long.
    pub for_ms: Int53,
}

impl From<&CurrentMessage> for Current {
    fn from(current: &CurrentMessage) -> Self {
        Self { name: current.name.to_owned(), for_ms: current.for_ms }
    }
}

/// An actor among those of all nodes, before it becomes a row.
#[derive(Clone, Copy)]
struct Found<'a> {
    report: &'a NodeReport,
    actor: &'a ActorInfo,
    children: u32,
}

/// The rows of `reports` that `wanted` asks for, at the time `now`.
pub(super) fn page(reports: &[Arc<NodeReport>], wanted: &Wanted, now: Timestamp) -> Page {
    let of_node = reports.iter().filter(|report| wanted.node.is_none_or(|node| node == report.node));
    let mut found: Vec<Found<'_>> = of_node.flat_map(|report| visible(report, wanted)).collect();
    sort(&mut found, wanted.sort);
    let rows = found.iter().skip(wanted.offset).take(wanted.limit).map(|found| row(*found, now)).collect();
    Page { at: now, total: u32::try_from(found.len()).unwrap_or(u32::MAX), rows }
}

/// One actor's row, for its drawer.
pub(super) fn row_of(report: &NodeReport, actor: &ActorInfo, now: Timestamp) -> Row {
    let children = descendants(report).get(actor.path.as_str()).copied().unwrap_or_default();
    row(Found { report, actor, children }, now)
}

/// How many actors stand below each path.
fn descendants(report: &NodeReport) -> HashMap<&str, u32> {
    let mut below = HashMap::new();
    for actor in &report.actors {
        for (end, _) in actor.path.match_indices('/') {
            *below.entry(&actor.path[..end]).or_default() += 1;
        }
    }
    below
}

fn visible<'a>(report: &'a NodeReport, wanted: &Wanted) -> Vec<Found<'a>> {
    let below = descendants(report);
    let matched = matching(report, wanted);
    let folded = folded(report, wanted);
    let shown = report
        .actors
        .iter()
        .filter(|actor| matched.as_ref().is_none_or(|matched| matched.contains(actor.path.as_str())));
    let open = shown
        .filter(|actor| folded.is_empty() || !ancestors(&actor.path).any(|above| folded.contains(above)));
    open.map(|actor| Found {
        report,
        actor,
        children: below.get(actor.path.as_str()).copied().unwrap_or_default(),
    })
    .collect()
}

/// The paths that a search finds, in the order of the tree together with what stands above them; `None` finds
/// all.
fn matching<'a>(report: &'a NodeReport, wanted: &Wanted) -> Option<HashSet<&'a str>> {
    if wanted.search.is_empty() {
        return None;
    }
    let says = |text: &str| text.to_lowercase().contains(&wanted.search);
    let whole_node = says(&report.name);
    let hits = report.actors.iter().filter(|actor| {
        whole_node || says(&actor.path) || says(&actor.kind) || actor.last_error.as_deref().is_some_and(says)
    });
    let mut matched: HashSet<&str> = hits.map(|actor| actor.path.as_str()).collect();
    if wanted.sort == Sort::Tree {
        let above: Vec<&str> = matched.iter().flat_map(|path| ancestors(path)).collect();
        matched.extend(above);
    }
    Some(matched)
}

fn folded<'a>(report: &'a NodeReport, wanted: &Wanted) -> HashSet<&'a str> {
    if wanted.sort != Sort::Tree || wanted.collapsed.is_empty() {
        return HashSet::new();
    }
    let key = |path: &str| format!("{}:{path}", report.node);
    report
        .actors
        .iter()
        .map(|actor| actor.path.as_str())
        .filter(|path| wanted.collapsed.contains(&key(path)))
        .collect()
}

/// The paths above `path`, from the root down.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

fn sort(found: &mut [Found<'_>], by: Sort) {
    // Stable, so that equals keep the order of the tree. Greatest first.
    let greatest = |a: f64, b: f64| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
    match by {
        Sort::Tree => {}
        Sort::Mailbox => found.sort_by_key(|found| std::cmp::Reverse(found.actor.mailbox_depth)),
        Sort::Rate => found.sort_by(|a, b| greatest(a.actor.rate, b.actor.rate)),
        Sort::Restarts => found.sort_by_key(|found| std::cmp::Reverse(found.actor.restarts)),
        Sort::Busy => found.sort_by_key(|found| {
            let current = found.actor.current.as_ref().map(|current| current.for_ms);
            std::cmp::Reverse((current, found.actor.busy_ms))
        }),
    }
}

fn row(Found { report, actor, children }: Found<'_>, now: Timestamp) -> Row {
    let depth = actor.path.matches('/').count();
    let name = actor.path.rsplit('/').next().filter(|_| depth > 0).unwrap_or(&report.name);
    let narrow = |wide: Int53| u32::try_from(wide.get()).unwrap_or(u32::MAX);
    let uptime = actor.started_at.map(|at| (now - at).num_milliseconds().max(0) as f64);
    let last_error = actor.last_error.as_deref().and_then(|error| error.lines().next()).map(Cow::from);
    Row {
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
        current: actor.current.as_ref().map(Current::from),
        children,
        supervisor: actor.supervisor.is_some(),
        uptime_ms: uptime.unwrap_or_default(),
    }
}
