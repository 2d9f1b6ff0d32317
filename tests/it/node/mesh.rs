//! Several nodes on one database.

use forge_tests::{Database, probe};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use serde_json::json;

use super::stage::{PATIENCE, probe_on};

const NODES: usize = 5;
/// Fewer than the connections of the nodes, so that none waits for a connection and all wait for each other.
const RACERS: usize = 8;

#[tokio::test]
async fn five_nodes_start_at_once_on_an_empty_database() {
    let database = Database::create().await;
    let nodes = join_all((0..NODES).map(|_| probe_on(&database).start())).await;
    for (number, node) in nodes.iter().enumerate() {
        let reply = node
            .call("probe.put", json!({ "key": format!("node-{number}") }), Some(&probe::token("ana")))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    assert_eq!(database.value::<i64>("select count(*) from probe_ledger").await, NODES as i64);
    for ended in join_all(nodes.into_iter().map(|node| node.stop(PATIENCE))).await {
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn racing_transfers_neither_lose_nor_make_money() {
    let database = Database::create().await;
    let nodes = join_all((0..2).map(|_| probe_on(&database).start())).await;
    database.execute("insert into probe_accounts select n, 1000 from generate_series(0, 3) n").await;
    let token = probe::token("ana");
    let transfers = (0..100).map(|number| {
        let (node, token) = (&nodes[number % nodes.len()], &token);
        let (from, to) = (number % 4, (number / 4 + 1 + number % 4) % 4);
        async move {
            node.call("probe.transfer", json!({ "from": from, "to": to, "amount": 1 }), Some(token)).await
        }
    });
    let replies: Vec<_> = stream::iter(transfers).buffer_unordered(RACERS).collect().await;
    let (done, collided) =
        replies.iter().fold((0, 0), |(done, collided), reply| match (reply.status, reply.code().as_str()) {
            (200, _) => (done + 1, collided),
            (409, "CONFLICT") => (done, collided + 1),
            _ => panic!("{}", reply.text),
        });
    println!("{done} transfers done, {collided} collided to the end");
    assert!(done > 0);
    assert_eq!(database.value::<i64>("select sum(balance)::bigint from probe_accounts").await, 4_000);
}
