//! The window over ten thousand actors, and what its rows say.

use std::sync::Arc;

use chrono::Utc;

use super::collector::read_report;
use super::window::{ActorPage, ActorSort, TreeRequest, page};
use crate::app::node::NodeReport;
use crate::kernel::ids::NodeId;
use crate::subsystem::NodeStats;
use crate::supervise::{ActorInfo, ActorState};

fn actor(path: &str) -> ActorInfo {
    ActorInfo {
        path: path.to_owned(),
        kind: "session".to_owned(),
        state: ActorState::Running,
        restarts: 0.into(),
        mailbox_depth: 0.into(),
        mailbox_max: 10.into(),
        handled: 7.into(),
        rate: 0.0,
        busy_ms: 0.into(),
        current: None,
        last_error: None,
        started_at: None,
        supervisor: None,
        duty: None,
    }
}

fn report(name: &str, actors: Vec<ActorInfo>) -> Arc<NodeReport> {
    let (node, name) = (NodeId::new(), name.to_owned());
    Arc::new(NodeReport {
        node,
        name,
        at: Utc::now(),
        actors,
        events: Vec::new(),
        stats: NodeStats::default(),
        peers: Vec::new(),
    })
}

fn small(name: &str) -> Arc<NodeReport> {
    let paths = [
        "node",
        "node/gateway",
        "node/gateway/sessions",
        "node/gateway/sessions/a",
        "node/gateway/sessions/b",
        "node/jobs",
    ];
    report(name, paths.map(actor).into())
}

fn paths(page: &ActorPage) -> Vec<&str> {
    page.rows.iter().map(|row| row.path.as_str()).collect()
}

fn all() -> TreeRequest {
    TreeRequest { limit: 200, ..TreeRequest::default() }
}

#[test]
fn a_report_of_the_version_before_is_read() {
    let mut report = serde_json::to_value(&*small("node-a")).expect("a report is JSON");
    let fields = |value: &mut serde_json::Value, name: &str| {
        value.as_object_mut().and_then(|fields| fields.remove(name)).expect("the field is sent")
    };
    fields(&mut report["vitals"], "election");
    fields(&mut report["vitals"], "figures");
    report["actors"].as_array_mut().expect("actors").iter_mut().for_each(|actor| {
        fields(actor, "duty");
    });
    let report = read_report(report.to_string().as_bytes()).expect("a report without what is new");
    assert!(report.stats.election.is_none() && report.stats.figures.is_empty());
    assert!(report.actors.iter().all(|actor| actor.duty.is_none()));
}

#[test]
fn nodes_follow_each_other_and_roots_bear_their_names() {
    let page = page(&[small("node-a"), small("node-b")], &all(), Utc::now());
    assert_eq!(page.total, 12);
    let roots: Vec<_> = page.rows.iter().filter(|row| row.depth == 0).map(|row| row.name.as_str()).collect();
    assert_eq!(roots, ["node-a", "node-b"]);
    assert_eq!(page.rows[1].children, 3);
}

#[test]
fn a_folded_branch_hides_what_is_below_it_on_its_node_only() {
    let (a, b) = (small("node-a"), small("node-b"));
    let collapsed = [format!("{}:node/gateway", a.node)].into();
    let page = page(&[a, b], &TreeRequest { collapsed, ..all() }, Utc::now());
    assert_eq!(page.total, 9);
    assert_eq!(paths(&page)[..3], ["node", "node/gateway", "node/jobs"]);
}

#[test]
fn a_search_keeps_what_stands_above_its_hits() {
    let request = |sort| TreeRequest { search: "sessions/b".to_owned(), sort, ..all() };
    let tree = page(&[small("node-a")], &request(ActorSort::Tree), Utc::now());
    assert_eq!(paths(&tree), ["node", "node/gateway", "node/gateway/sessions", "node/gateway/sessions/b"]);
    let flat = page(&[small("node-a")], &request(ActorSort::Mailbox), Utc::now());
    assert_eq!(paths(&flat), ["node/gateway/sessions/b"]);
}

#[test]
fn the_fullest_mailbox_comes_first_and_equals_keep_their_order() {
    let mut actors: Vec<_> = ["node", "node/a", "node/b", "node/c"].map(actor).into();
    actors[2].mailbox_depth = 5.into();
    let page =
        page(&[report("node-a", actors)], &TreeRequest { sort: ActorSort::Mailbox, ..all() }, Utc::now());
    assert_eq!(paths(&page), ["node/b", "node", "node/a", "node/c"]);
}

#[test]
fn a_window_of_ten_thousand_is_cut_after_everything_else() {
    let mut actors = vec![actor("node"), actor("node/sessions")];
    actors.extend((0..10_000).map(|number| actor(&format!("node/sessions/{number:05}"))));
    let request = TreeRequest { offset: 5_002, limit: 3, ..TreeRequest::default() };
    let page = page(&[report("node-a", actors)], &request, Utc::now());
    assert_eq!(page.total, 10_002);
    assert_eq!(paths(&page), ["node/sessions/05000", "node/sessions/05001", "node/sessions/05002"]);
}
