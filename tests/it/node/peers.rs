//! Helpers for tests with several nodes: starting the nodes of one cluster, and reading their links.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use forge_tests::{Database, FaultProxy, Node, NodeBuilder, probe, until};
use serde_json::{Value, json};

use super::stage::{PATIENCE, probe_on};

/// A port that is free now, below the range of outgoing connections.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| 18_000 + (uuid::Uuid::new_v4().as_u128() % 2_000) as u16)
        .take(100)
        .find(free)
        .expect("a free port")
}

/// A node called `name`, not yet started.
pub(crate) fn member(database: &Database, name: &str) -> NodeBuilder {
    probe_on(database).arguments(["--name", name])
}

/// A node called `name`, not yet started, whose mesh other nodes reach through a proxy only.
pub(crate) async fn member_behind_proxy(database: &Database, name: &str) -> (NodeBuilder, FaultProxy) {
    let port = free_port();
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let builder = member(database, name).arguments(["--mesh-port", &port.to_string()]);
    (builder.environment("FORGE_CLUSTER__ADVERTISE", proxy.address().to_string()), proxy)
}

/// The response of `forge.nodes` on `node`.
pub(crate) async fn status(node: &Node) -> Value {
    node.call("forge.nodes", json!({}), Some(&probe::admin_token())).await.data()
}

/// Names of the peers that `node` is linked to, sorted.
pub(crate) async fn linked(node: &Node) -> Vec<String> {
    let status = status(node).await;
    let peers = status["peers"].as_array().expect("a list of peers").iter();
    let mut names: Vec<_> = peers
        .filter(|peer| peer["linked"] == true)
        .map(|peer| peer["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

/// Waits until `node` is linked to exactly these peers. Returns how long that took.
pub(crate) async fn await_links(node: &Node, expected: &[&str], limit: Duration) -> Duration {
    let began = Instant::now();
    until(&format!("linked to {expected:?}"), limit, || async {
        (linked(node).await == expected).then_some(())
    })
    .await;
    began.elapsed()
}

/// Two linked nodes: `old`, behind a proxy, and `young`.
pub(crate) async fn pair(database: &Database) -> (Node, Node, FaultProxy) {
    let (old, proxy) = member_behind_proxy(database, "old").await;
    let old = old.start().await;
    let young = member(database, "young").start().await;
    await_links(&old, &["young"], PATIENCE).await;
    await_links(&young, &["old"], PATIENCE).await;
    (old, young, proxy)
}

/// The id of the node called `name`.
pub(crate) async fn id_of(node: &Node, name: &str) -> String {
    let status = status(node).await;
    let nodes = status["nodes"].as_array().expect("a list of nodes");
    let found = nodes
        .iter()
        .find(|node| node["name"] == name && node["state"] != "dead")
        .unwrap_or_else(|| panic!("no {name}: {status:#}"));
    found["id"].as_str().expect("an id").to_owned()
}
