//! `deploy/cluster/cluster.sh`, which `just cluster-up`, `cluster-kill`, `cluster-roll` and `cluster-down`
//! run: three nodes of the real binary on one embedded Postgres, with haproxy in front.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use forge_tests::{Binary, Client, Database, Received, Socket, probe, until, workspace};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::stage::{PATIENCE, Writers};

/// Nodes that the script starts.
pub(crate) const NODES: usize = 3;
/// Requests through the proxy while a node is dead.
const REQUESTS: usize = 30;

/// The script, with a folder and ports of its own. Dropping it takes the nodes down, also after a failed
/// test.
pub(crate) struct Script {
    folder: TempDir,
    /// What `up` and `roll` start.
    pub(crate) binary: PathBuf,
    /// Instead of an embedded database.
    database_url: Option<String>,
    port: u16,
    mesh_port: u16,
}

impl Script {
    fn new(binary: Binary) -> Self {
        let folder = tempfile::tempdir().expect("make a directory");
        let port = free_ports();
        let mesh_port = port + NODES as u16 + 1;
        Self { folder, binary: binary.path(), database_url: None, port, mesh_port }
    }

    /// For nodes that share this database.
    pub(crate) fn on(database: &Database, binary: Binary) -> Self {
        let mut script = Self::new(binary);
        script.database_url = Some(database.url().to_owned());
        script
    }

    fn command(&self, arguments: &[&str]) -> Output {
        Command::new(workspace().join("deploy/cluster/cluster.sh"))
            .args(arguments)
            .env("FORGE_BINARY", &self.binary)
            .env("FORGE_AUTH__SECRET", probe::SECRET)
            .env("FORGE_CLUSTER_FOLDER", self.folder.path())
            .env("FORGE_CLUSTER_PORT", self.port.to_string())
            .env("FORGE_CLUSTER_MESH_PORT", self.mesh_port.to_string())
            .envs(self.database_url.iter().map(|url| ("FORGE_DATABASE__URL", url)))
            .output()
            .expect("run the script")
    }

    /// Runs the script to its end and returns its output.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let output = tokio::task::block_in_place(|| self.command(arguments));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cluster.sh {arguments:?} failed:\n{text}{errors}");
        text
    }

    /// The address of a node; 0 is the one in front.
    pub(crate) fn url(&self, node: usize) -> String {
        format!("http://127.0.0.1:{}", usize::from(self.port) + node)
    }

    /// The nodes as node `number` sees them: name, state, and whether `number` is linked to it (itself
    /// counts).
    async fn nodes_seen_by(&self, number: usize) -> Vec<(String, String, bool)> {
        let mut command = tokio::process::Command::new(&self.binary);
        command.args(["--json", "cluster", "status", "--url", &self.url(number)]);
        command.env("FORGE_AUTH__SECRET", probe::SECRET);
        let output = command.current_dir(self.folder.path()).output().await.expect("run cluster status");
        let status: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr)));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let is_linked = |id: &Value| {
            let peers = status["peers"].as_array().expect("a list of peers");
            *id == status["node"] || peers.iter().any(|peer| peer["node"] == *id && peer["linked"] == true)
        };
        let nodes = status["nodes"].as_array().expect("a list of nodes").iter();
        nodes.map(|node| (text(&node["name"]), text(&node["state"]), is_linked(&node["id"]))).collect()
    }

    /// Waits until node `number` sees exactly these nodes active and linked.
    async fn await_active(&self, number: usize, expected: &[&str]) {
        until(&format!("node {number} is linked to {expected:?}"), PATIENCE, || async {
            let seen = self.nodes_seen_by(number).await;
            let mut active: Vec<_> = seen
                .into_iter()
                .filter(|(_, state, linked)| state == "active" && *linked)
                .map(|(name, ..)| name)
                .collect();
            active.sort();
            (active == expected).then_some(())
        })
        .await;
    }

    fn is_open(&self, port: u16) -> bool {
        TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.command(&["down"]);
    }
}

/// The first of eight free ports in a row, below the range of outgoing connections: one in front and one of
/// each node for HTTP, and as many for the mesh, whose first one stays unused.
fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    std::iter::repeat_with(|| 18_000 + (uuid::Uuid::new_v4().as_u128() % 1_990) as u16)
        .take(100)
        .find(|first| (*first..=first + 2 * NODES as u16 + 1).all(free))
        .expect("eight free ports in a row")
}

/// The folder itself, and the files in it, as far as other users may read them.
fn readable_by_others(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    let is_readable = |path: &PathBuf| path.metadata().expect("there").permissions().mode() & 0o077 != 0;
    files.chain([folder.to_owned()]).filter(is_readable).collect()
}

/// Command lines of the processes that work in `folder` or name it.
fn processes_of(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("Linux has /proc").flatten();
    let lines = processes.filter_map(|process| {
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let works_here =
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        (works_here || line.contains(folder.to_str().expect("a UTF-8 path"))).then_some(line)
    });
    lines.filter(|line| !line.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_script_starts_kills_and_stops_three_nodes() {
    let script = Script::new(Binary::Forge);
    let said = script.run(&["up"]).await;
    assert!(["node-1", "node-2", "node-3", "front"].iter().all(|name| said.contains(name)), "{said}");
    for number in 1..=NODES {
        script.await_active(number, &["node-1", "node-2", "node-3"]).await;
    }

    let readable = readable_by_others(&script.folder.path().join(".forge/cluster"));
    assert_eq!(readable, Vec::<PathBuf>::new(), "logs hold what users entrusted to the nodes");

    script.run(&["kill", "2"]).await;
    // The proxy in front sends every request to a node that lives.
    let front = Client::new(script.url(0));
    for number in 0..REQUESTS {
        let reply = front.get("/ready").await.expect("the proxy answers");
        assert_eq!(reply.status, 200, "request {number}: {}", reply.text);
    }
    script.await_active(1, &["node-1", "node-3"]).await;
    script.await_active(3, &["node-1", "node-3"]).await;
    let second = script.nodes_seen_by(1).await.into_iter().find(|(name, ..)| name == "node-2");
    assert!(second.is_none_or(|(_, _, linked)| !linked), "a killed node has no link");

    let said = script.run(&["up"]).await;
    assert!(said.contains("node-1  is running already"), "{said}");
    script.await_active(2, &["node-1", "node-2", "node-3"]).await;

    script.run(&["down"]).await;
    // The watchdogs of the database end by themselves, after their nodes.
    until("nothing runs in the folder", PATIENCE, || async {
        processes_of(script.folder.path()).is_empty().then_some(())
    })
    .await;
    let ports = (script.port..=script.port + 3).chain(script.mesh_port + 1..=script.mesh_port + 3);
    assert_eq!(ports.filter(|port| script.is_open(*port)).collect::<Vec<_>>(), Vec::<u16>::new());
}

/// A client that connects again as soon as the node or the proxy sends it away; the number of its
/// connections. Each of them must be accepted, and answered.
async fn stay_connected(base: String, stop: CancellationToken) -> usize {
    let mut connections = 0;
    while !stop.is_cancelled() {
        let (mut socket, _) = Socket::hello(&base, None).await;
        connections += 1;
        socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
        assert_eq!(socket.frame().await["type"], "transition");
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                received = socket.next() => match received {
                    Received::Frame(frame) if frame["type"] != "goAway" => {}
                    Received::Frame(_) => break,
                    Received::Closed(code) => panic!("closed with {code:?} without goAway"),
                }
            }
        }
    }
    connections
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_behind_the_proxy_fails_no_request() {
    let script = Script::new(Binary::Probe);
    script.run(&["up"]).await;
    let front = Client::new(script.url(0));
    let writers = Writers::start(&front, 8);
    let stop = CancellationToken::new();
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(stay_connected(script.url(0), stop.clone()))).collect();
    writers.await_more(100).await;
    let said = script.run(&["roll"]).await;
    assert_eq!(said.matches(" started").count(), NODES, "{said}");
    writers.await_more(100).await;
    let tally = writers.stop().await;
    println!("{} writes were answered", tally.acknowledged.len());
    assert_eq!(tally.unknown, BTreeSet::new(), "requests failed");
    stop.cancel();
    let mut connections = 0;
    for client in clients {
        connections += client.await.expect("every connection is accepted, and ends in order");
    }
    assert!(connections > 8, "the roll sent clients away");
}

/// A node that ends while it starts does this as well.
#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_script_asks_again_after_a_reset_connection() {
    let mut script = Script::new(Binary::Forge);
    script.binary = script.folder.path().join("node-that-only-runs");
    std::fs::write(&script.binary, "#!/bin/sh\nwhile [ \"$1\" = start ]; do sleep 1; done\n")
        .and_then(|()| std::fs::set_permissions(&script.binary, Permissions::from_mode(0o755)))
        .expect("write the binary");
    for number in 1..=NODES as u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, script.port + number)).expect("listen");
        std::thread::spawn(move || answer_all_but_the_first(&listener));
    }
    script.run(&["up"]).await;
}

/// Closing a socket with unread bytes resets its connection.
fn answer_all_but_the_first(listener: &TcpListener) {
    for (number, stream) in listener.incoming().enumerate() {
        let mut stream = stream.expect("accept");
        let mut head = [0; 512];
        let arrived = stream.peek(&mut head);
        if number > 0 && arrived.is_ok() {
            // A client that is gone needs no answer.
            let _read = stream.read(&mut head);
            let _written =
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    }
}
