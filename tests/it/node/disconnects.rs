//! Clients that disconnect in the middle of a mutation: all of it happened, or nothing, and no connection
//! stays in a transaction.

use std::time::Duration;

use forge_tests::{Database, Load, probe, until};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::stage::{PATIENCE, probe_on};

const CUTS: usize = 1_000;
const WAVE: usize = 50;
/// The mutation sleeps twice as long as this; the cuts fall anywhere into it and a little behind.
const PAUSE_MS: u64 = 20;

#[tokio::test]
async fn a_thousand_resets_leave_no_half_commit_and_no_open_transaction() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let address: std::net::SocketAddr =
        node.client().base().trim_start_matches("http://").parse().expect("the base is an address");
    let token = probe::token("ana");
    let mut cuts = JoinSet::new();
    for number in 0..CUTS {
        let body = json!({ "key": format!("cut-{number}"), "pauseMs": PAUSE_MS }).to_string();
        let request = Load::request("/rpc/probe.put_halves", &body, Some(&token));
        let moment = Duration::from_millis(number as u64 % (3 * PAUSE_MS));
        cuts.spawn(cut(address, request, moment));
        if cuts.len() == WAVE {
            while cuts.join_next().await.is_some() {}
        }
    }
    while cuts.join_next().await.is_some() {}

    let idle = || async { database.busy_sessions().await.is_empty().then_some(()) };
    until("no session is in a transaction", PATIENCE, idle).await;
    let halves: i64 = database
        .value("select count(*) from (select from probe_halves group by key having count(*) <> 2) halves")
        .await;
    assert_eq!(halves, 0, "half commits");
    let whole: i64 = database.value("select count(distinct key) from probe_halves").await;
    assert!(whole < CUTS as i64, "no cut came before the commit, so this run proves nothing");

    // Whatever the cut connections left behind, the next writes commit.
    for number in 0..WAVE {
        let reply = node.call("probe.put", json!({ "key": format!("after-{number}") }), Some(&token)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    assert_eq!(database.value::<i64>("select count(*) from probe_ledger").await, WAVE as i64);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

async fn cut(address: std::net::SocketAddr, request: Vec<u8>, moment: Duration) {
    let mut stream = TcpStream::connect(address).await.expect("connect to the node");
    stream.write_all(&request).await.expect("send the request");
    tokio::time::sleep(moment).await;
    stream.set_zero_linger().expect("ask for a reset");
}
