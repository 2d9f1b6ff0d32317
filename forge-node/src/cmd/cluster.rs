//! `cluster`: prints the nodes, as one of them sees the others, and the leaders.

use std::time::Duration;

use forge_actors::dashboard::leaders::ClusterLeaders;
use forge_actors::dashboard::nodes::ClusterNodes;
use forge_actors::kernel::node::{NodeInfo, NodeState};
use forge_actors::kernel::time::Timestamp;
use forge_actors::leader::store::{EndedTerm, LeaderEnd, LeaderInfo, LeaderState};
use serde_json::json;

use crate::cli::{Cluster, ClusterStep, Target};
use crate::cmd::client::{Client, decode, print};
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;

/// Runs the subcommand.
pub async fn run(args: &Cluster, context: CommandContext<'_>) -> Result<(), Report> {
    match &args.step {
        ClusterStep::Status { target } => print_status(target, context).await,
        ClusterStep::Leaders { target } => print_leaders(target, context).await,
    }
}

async fn print_status(target: &Target, context: CommandContext<'_>) -> Result<(), Report> {
    let client = Client::of_administrator(target, context)?;
    let mut data = client.call("forge.nodes", &json!({})).await?;
    // The nodes are shown all the same when the leaders are not known, for example by an older version.
    let leaders = client.call("forge.leaders", &json!({})).await;
    if context.global.json {
        if let Ok(mut leaders) = leaders {
            data["leaders"] = leaders["leaders"].take();
        }
        output::data(Text::json(&data));
        return Ok(());
    }
    let mut text = render(&decode(&data)?, context.palette());
    match leaders {
        Err(report) => text.push(format!("\nthe leaders are not known: {}", report.message)),
        Ok(leaders) => {
            let leaders: ClusterLeaders = decode(&leaders)?;
            if !leaders.leaders.is_empty() {
                text.push("\n");
                text.push(render_leaders(&leaders, context.palette()));
            }
        }
    }
    output::data(text);
    Ok(())
}

async fn print_leaders(target: &Target, context: CommandContext<'_>) -> Result<(), Report> {
    let data = Client::of_administrator(target, context)?.call("forge.leaders", &json!({})).await?;
    print(&data, context, |leaders: ClusterLeaders| render_terms(&leaders, context.palette()))
}

/// The leaderships, and below them the ended terms.
fn render_terms(cluster: &ClusterLeaders, palette: Palette) -> Text {
    match (cluster.leaders.is_empty(), cluster.ended.is_empty()) {
        (true, _) => "no leader was elected yet".into(),
        (false, true) => render_leaders(cluster, palette),
        (false, false) => Text::lines([render_leaders(cluster, palette), render_ended(cluster, palette)]),
    }
}

const NODE_COLUMNS: [Column; 8] = [
    Column::Left("node"),
    Column::Left("state"),
    Column::Left("roles"),
    Column::Left("http"),
    Column::Left("mesh"),
    Column::Left("version"),
    Column::Left("seen"),
    Column::Left("link"),
];

/// The nodes, one a line.
pub(super) fn render(cluster: &ClusterNodes, palette: Palette) -> Text {
    let rows: Vec<_> = cluster.nodes.iter().map(|node| row(cluster, node)).collect();
    table::render(NODE_COLUMNS, &rows, palette, |index, line| {
        let node = &cluster.nodes[index];
        match node.state {
            NodeState::Dead => palette.dim(line),
            NodeState::Draining | NodeState::Joining => palette.yellow(line),
            NodeState::Active if is_cut_off(cluster, node) => palette.red(line),
            NodeState::Active => line,
        }
    })
}

fn is_cut_off(cluster: &ClusterNodes, node: &NodeInfo) -> bool {
    cluster.peers.iter().any(|peer| peer.node == node.id && !peer.linked)
}

fn row(cluster: &ClusterNodes, node: &NodeInfo) -> [String; NODE_COLUMNS.len()] {
    let state = match (node.state, node.lost) {
        (NodeState::Dead, true) => "dead (lost)",
        (NodeState::Dead, false) => "dead (stopped)",
        (state, _) => state.as_str(),
    };
    let or_dash = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
    [
        node.name.to_owned(),
        state.to_owned(),
        node.roles.join(","),
        or_dash(&node.address),
        or_dash(&node.mesh_address),
        node.version.to_owned(),
        age(cluster.at, node.seen_at),
        link(cluster, node),
    ]
}

/// The state of the answering node's connection to `node`.
fn link(cluster: &ClusterNodes, node: &NodeInfo) -> String {
    if node.id == cluster.node {
        return "this node".to_owned();
    }
    let Some(peer) = cluster.peers.iter().find(|peer| peer.node == node.id) else { return "-".to_owned() };
    match (peer.linked, peer.rtt_ms, &peer.error) {
        (true, Some(rtt), _) => format!("{rtt:.1} ms"),
        (true, None, _) => "linked".to_owned(),
        (false, _, Some(error)) => format!("cut off: {error}"),
        (false, _, None) => "cut off".to_owned(),
    }
}

const LEADER_COLUMNS: [Column; 6] = [
    Column::Left("leadership"),
    Column::Left("node"),
    Column::Left("state"),
    Column::Right("epoch"),
    Column::Left("elected"),
    Column::Left("renewed"),
];

/// The leaderships, one a line.
pub(super) fn render_leaders(cluster: &ClusterLeaders, palette: Palette) -> Text {
    let rows: Vec<_> = cluster.leaders.iter().map(|leader| leader_row(cluster.at, leader)).collect();
    table::render(LEADER_COLUMNS, &rows, palette, |index, line| match cluster.leaders[index].state {
        LeaderState::Leading => line,
        LeaderState::Expired => palette.red(line),
        LeaderState::Resigned => palette.yellow(line),
    })
}

fn leader_row(now: Timestamp, leader: &LeaderInfo) -> [String; LEADER_COLUMNS.len()] {
    let state = match (leader.state, leader.resigned_at) {
        (LeaderState::Leading, _) => "leads".to_owned(),
        (LeaderState::Expired, _) => "no leader".to_owned(),
        (LeaderState::Resigned, at) => format!("resigned {}", age(now, at.unwrap_or(leader.renewed_at))),
    };
    [
        leader.name.to_owned(),
        leader.node_name.to_owned(),
        state,
        leader.epoch.get().to_string(),
        age(now, leader.elected_at),
        age(now, leader.renewed_at),
    ]
}

const ENDED_COLUMNS: [Column; 6] = [
    Column::Left("ended term of"),
    Column::Left("node"),
    Column::Left("reason"),
    Column::Right("epoch"),
    Column::Left("elected"),
    Column::Left("ended"),
];

/// The ended terms, one a line.
pub(super) fn render_ended(cluster: &ClusterLeaders, palette: Palette) -> Text {
    let rows: Vec<_> = cluster.ended.iter().map(|term| ended_row(cluster.at, term)).collect();
    table::render(ENDED_COLUMNS, &rows, palette, |_, line| line)
}

fn ended_row(now: Timestamp, term: &EndedTerm) -> [String; ENDED_COLUMNS.len()] {
    let reason = match term.reason {
        LeaderEnd::Resigned => "resigned",
        LeaderEnd::Lost => "lost",
    };
    [
        term.name.to_owned(),
        term.node_name.to_owned(),
        reason.to_owned(),
        term.epoch.get().to_string(),
        age(now, term.elected_at),
        age(now, term.ended_at),
    ]
}

fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = (now - then).to_std().unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        _ => format!("{}h ago", seconds / 3_600),
    }
}
