//! `cluster`: prints the nodes, as one of them sees the others.

use std::time::Duration;

use forge_actors::dashboard::nodes::ClusterNodes;
use forge_actors::kernel::node::{NodeInfo, NodeState};
use forge_actors::kernel::time::Timestamp;

use crate::cli::{Cluster, ClusterStatus, ClusterStep};
use crate::cmd::client::{Client, RequestIdentity, decode};
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::table::{self, Column};

/// Runs the subcommand.
pub async fn run(args: &Cluster, context: CommandContext<'_>) -> Result<(), Report> {
    match &args.step {
        ClusterStep::Status(status) => print_status(status, context).await,
    }
}

async fn print_status(args: &ClusterStatus, context: CommandContext<'_>) -> Result<(), Report> {
    let loaded = context.load(&[])?;
    let client = Client::new(&loaded, &args.target, RequestIdentity::Administrator)?;
    let answer = client.post("/rpc/forge.nodes", "{}".to_owned()).await?;
    let data = answer.get("data").cloned().unwrap_or_default();
    if context.global.json {
        output::data(&data.to_string());
        return Ok(());
    }
    let nodes: ClusterNodes = decode(&data)?;
    output::data(&render(&nodes, context.palette()));
    Ok(())
}

const COLUMNS: [Column; 8] = [
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
pub(super) fn render(cluster: &ClusterNodes, palette: Palette) -> String {
    let rows: Vec<_> = cluster.nodes.iter().map(|node| row(cluster, node)).collect();
    table::render(COLUMNS, &rows, palette, |index, line| {
        let node = &cluster.nodes[index];
        match node.state {
            NodeState::Dead => palette.dim(line),
            NodeState::Draining | NodeState::Joining => palette.yellow(line),
            NodeState::Active if is_cut_off(cluster, node) => palette.red(line),
            NodeState::Active => line.to_owned(),
        }
    })
}

fn is_cut_off(cluster: &ClusterNodes, node: &NodeInfo) -> bool {
    cluster.peers.iter().any(|peer| peer.node == node.id && !peer.linked)
}

fn row(cluster: &ClusterNodes, node: &NodeInfo) -> [String; COLUMNS.len()] {
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
        return "answers".to_owned();
    }
    let Some(peer) = cluster.peers.iter().find(|peer| peer.node == node.id) else { return "-".to_owned() };
    match (peer.linked, peer.rtt_ms, &peer.error) {
        (true, Some(rtt), _) => format!("{rtt:.1} ms"),
        (true, None, _) => "linked".to_owned(),
        (false, _, Some(error)) => format!("cut off: {error}"),
        (false, _, None) => "cut off".to_owned(),
    }
}

fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = (now - then).to_std().unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        _ => format!("{}h ago", seconds / 3_600),
    }
}
