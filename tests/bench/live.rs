//! From a change on one node to a client on another: how long it takes with the mesh, and with the mesh cut.
//! And whether what a client sees ever disagrees with itself: a sum and its list, while money moves.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use forge_tests::{
    Binary, Database, Disturbance, FaultProxy, Node, NodeBuilder, PostgresProcess, Socket, probe, until,
};
use serde_json::{Value, json};

use crate::goal::{Goal, percentile};

/// Changes of each measurement.
const CHANGES: usize = 500;
/// Between two of them: light load.
const PAUSE: Duration = Duration::from_millis(20);
/// Frames that are looked at for torn views.
const FRAMES: usize = 100_000;
/// Clients that look.
const CLIENTS: usize = 100;
/// Accounts between which money moves.
const ACCOUNTS: i64 = 10;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let port = free_port();
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let writing = member(&database, "writing").arguments(["--mesh-port", &port.to_string()]);
    let writing = writing.environment("FORGE_CLUSTER__ADVERTISE", proxy.address().to_string()).start().await;
    let reading = member(&database, "reading").start().await;
    linked(&reading, true).await;
    let mut goals = Vec::new();
    let linked_up = latencies(&writing, &reading).await;
    goals.push(Goal::at_most("change on A to client on B, p50", percentile(&linked_up, 50), "ms", 5.0));
    goals.push(Goal::at_most("change on A to client on B, p99", percentile(&linked_up, 99), "ms", 30.0));
    proxy.set(Disturbance::Reset);
    linked(&reading, false).await;
    let cut = latencies(&writing, &reading).await;
    goals.push(Goal::at_most("the same with the mesh cut, p99", percentile(&cut, 99), "ms", 100.0));
    let torn = torn(&database, &writing, &reading).await;
    goals.push(Goal::at_most(format!("torn views in {FRAMES} frames"), torn as f64, "", 0.0));
    Ok(goals)
}

fn member(database: &Database, name: &str) -> NodeBuilder {
    Node::builder(Binary::Probe)
        .database(database)
        .file("forge.toml", probe::CONFIG)
        .arguments(["--name", name])
}

fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (18_000..20_000).find(free).expect("a free port")
}

async fn linked(node: &Node, wanted: bool) {
    until("the mesh is as it should be", PATIENCE, || async {
        let status = node.call("forge.nodes", json!({}), Some(&probe::admin_token())).await.data();
        let peers = status["peers"].as_array().expect("a list of peers").to_owned();
        (peers.iter().any(|peer| peer["linked"] == true) == wanted).then_some(())
    })
    .await;
}

/// Milliseconds from the call that changes a row on one node to the frame that says so on the other: the
/// call's own time included.
pub(crate) async fn latencies(writing: &Node, reading: &Node) -> Vec<f64> {
    let (mut socket, _) = Socket::hello(reading.client().base(), None).await;
    writing.call("live.retitle", json!({ "id": 1, "title": "before" }), None).await.data();
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    socket.frame_of("transition").await;
    let mut took = Vec::new();
    for change in 0..CHANGES {
        let title = format!("{change} {}", uuid::Uuid::new_v4());
        let began = Instant::now();
        let delivered = async {
            loop {
                let frame = socket.frame_of("transition").await;
                if frame["mods"]
                    .as_array()
                    .is_some_and(|mods| mods.iter().any(|change| change["snapshot"] == json!(title)))
                {
                    return began.elapsed();
                }
            }
        };
        let call = writing.call("live.retitle", json!({ "id": 1, "title": title }), None);
        let (delivered, reply) = tokio::join!(delivered, call);
        reply.data();
        took.push(delivered.as_secs_f64() * 1_000.0);
        tokio::time::sleep(PAUSE).await;
    }
    took.sort_by(f64::total_cmp);
    took
}

/// Frames in which the sum of the list is not the total that the other query of the same client says.
async fn torn(database: &Database, writing: &Node, reading: &Node) -> usize {
    let accounts = format!(
        "insert into probe_accounts select n, 100 from generate_series(1, {ACCOUNTS}) n on conflict do nothing"
    );
    database.execute(&accounts).await;
    let token = probe::token("bench");
    let per_client = FRAMES.div_ceil(CLIENTS);
    let clients = (0..CLIENTS).map(|_| {
        let (base, token) = (reading.client().base().to_owned(), token.clone());
        tokio::spawn(async move { watch(&base, &token, per_client).await })
    });
    let clients: Vec<_> = clients.collect();
    // Transfers change the list, deposits the list and the sum.
    let transfers = async {
        for round in 1_i64.. {
            let (from, to) = (round % ACCOUNTS + 1, (round * 7 + 3) % ACCOUNTS + 1);
            let _answer = writing
                .call("probe.transfer", json!({ "from": from, "to": to, "amount": 1 }), Some(&token))
                .await;
            database
                .execute(&format!("update probe_accounts set balance = balance + 2 where id = {to}"))
                .await;
        }
    };
    let watched = futures::future::join_all(clients);
    let counts = tokio::select! {
        counts = watched => counts,
        () = transfers => Vec::new(),
    };
    counts.into_iter().map(|count| count.expect("a client ends in order")).sum()
}

async fn watch(base: &str, token: &str, frames: usize) -> usize {
    let (mut socket, _) = Socket::hello(base, Some(token)).await;
    socket.subscribe(1, "live.accounts", json!({})).await;
    socket.subscribe(2, "live.total", json!({})).await;
    let (mut sum, mut total, mut torn) = (None, None, 0);
    for _ in 0..frames {
        let frame = socket.frame_of("transition").await;
        for change in frame["mods"].as_array().into_iter().flatten() {
            match change["id"].as_u64() {
                Some(1) => sum = Some(sum_of(&change["snapshot"])),
                _ => total = change["snapshot"].as_i64(),
            }
        }
        torn += usize::from(sum.zip(total).is_some_and(|(sum, total)| sum != total));
    }
    torn
}

fn sum_of(accounts: &Value) -> i64 {
    accounts.as_array().into_iter().flatten().filter_map(|account| account["balance"].as_i64()).sum()
}
