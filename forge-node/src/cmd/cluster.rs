//! `cluster`: the nodes, as one of them sees the others.

use std::time::Duration;

use forge_actors::dashboard::nodes::ClusterNodes;
use forge_actors::kernel::node::{NodeInfo, NodeState};
use forge_actors::kernel::time::Timestamp;

use crate::cli::{Cluster, ClusterStatus, ClusterStep};
use crate::cmd::client::{Asker, Client};
use crate::cmd::output;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::{Palette, Scene};

/// Does what was asked.
pub async fn run(args: &Cluster, scene: Scene<'_>) -> Result<(), Report> {
    match &args.step {
        ClusterStep::Status(status) => print_status(status, scene).await,
    }
}

async fn print_status(args: &ClusterStatus, scene: Scene<'_>) -> Result<(), Report> {
    let loaded = scene.load(&[])?;
    let client = Client::new(&loaded, &args.target, Asker::Administrator)?;
    let answer = client.post("/rpc/forge.nodes", "{}".to_owned()).await?;
    let data = answer.get("data").cloned().unwrap_or_default();
    if scene.global.json {
        output::data(&data.to_string());
        return Ok(());
    }
    let nodes: ClusterNodes = serde_json::from_value(data).map_err(|error| {
        Report::new(Exit::Drift, "other-version", "the node's answer is of another version of Forge")
            .cause(error)
    })?;
    output::data(&render(&nodes, scene.palette()));
    Ok(())
}

const HEAD: [&str; 8] = ["node", "state", "roles", "http", "mesh", "version", "seen", "link"];

/// One line for each node, columns aligned.
pub(super) fn render(cluster: &ClusterNodes, palette: Palette) -> String {
    let rows: Vec<_> = cluster.nodes.iter().map(|node| row(cluster, node)).collect();
    let head = HEAD.map(str::to_owned);
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let mut text = palette.dim(&line(&head, &widths)) + "\n";
    for (row, node) in rows.iter().zip(&cluster.nodes) {
        let line = line(row, &widths);
        text.push_str(&match node.state {
            NodeState::Dead => palette.dim(&line),
            NodeState::Draining | NodeState::Joining => palette.yellow(&line),
            NodeState::Active if is_cut_off(cluster, node) => palette.red(&line),
            NodeState::Active => line,
        });
        text.push('\n');
    }
    text
}

fn is_cut_off(cluster: &ClusterNodes, node: &NodeInfo) -> bool {
    cluster.peers.iter().any(|peer| peer.node == node.id && !peer.linked)
}

fn row(cluster: &ClusterNodes, node: &NodeInfo) -> [String; HEAD.len()] {
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

/// How the answering node reaches this one.
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

fn line(row: &[String; HEAD.len()], widths: &[usize]) -> String {
    let padded = row
        .iter()
        .zip(widths)
        .map(|(text, &width)| format!("{text}{}", " ".repeat(width - text.chars().count())));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}
