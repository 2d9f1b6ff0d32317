//! Clients that do not take what they ask for, or take it slowly.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use forge_tests::{Database, Http2, Http2Frame, Node, Socket, probe, until};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::sessions::{metric, nothing_is_left, retitle, until_snapshot};
use super::stage::{PATIENCE, probe_on};

const MIB: usize = 1024 * 1024;
/// What a node may grow by, whatever its clients leave waiting.
const GROWTH_MAX: u64 = 64 * MIB as u64;
/// The error code with which a stream is reset that nobody takes (RFC 9113, section 7).
const CANCEL: u32 = 8;

/// A node whose page has a file `large.bin` of `bytes` bytes, with these keys of `[gateway]`.
async fn node_with_file(database: &Database, bytes: usize, keys: &str) -> (Node, TempDir) {
    let home = tempfile::tempdir().expect("make a directory");
    std::fs::create_dir(home.path().join("dist")).expect("make a directory");
    std::fs::write(home.path().join("dist/large.bin"), vec![b'x'; bytes]).expect("write a file");
    let config = probe::CONFIG.replace("[gateway]", &format!("[gateway]\nassets = \"dist\"\n{keys}"));
    let node = probe_on(database).directory(home.path()).file("forge.toml", config).start().await;
    (node, home)
}

fn address(node: &Node) -> SocketAddr {
    node.client().base().trim_start_matches("http://").parse().expect("an address")
}

async fn next(client: &mut Http2) -> Option<Http2Frame> {
    timeout(PATIENCE, client.next()).await.expect("a frame, or the end")
}

#[tokio::test]
async fn a_client_that_grants_no_window_neither_fills_the_memory_nor_stays() {
    let database = Database::create().await;
    let (mut node, _home) = node_with_file(&database, 15 * MIB, "write_timeout = \"5s\"").await;
    let before = node.process().resident_bytes();
    let mut client = Http2::connect(address(&node), 0).await;
    for number in 0..100 {
        client.get(2 * number + 1, "/large.bin").await;
    }
    let mut answered = BTreeSet::new();
    while answered.len() < 100 {
        match next(&mut client).await {
            Some(Http2Frame::Headers(stream, false)) => answered.insert(stream),
            other => panic!("{other:?} after {} answers", answered.len()),
        };
    }
    let growth = node.process().resident_bytes().saturating_sub(before);
    println!("100 streams of 15 MiB: {} KiB more", growth / 1024);
    assert!(growth < GROWTH_MAX, "{growth} bytes more");
    let waiting = metric(&node, "forge_http_response_bytes").await;
    assert!(waiting >= 100.0 * 65_536.0, "{waiting} bytes wait");
    // So many stalled streams end their connection.
    while let Some(frame) = next(&mut client).await {
        assert!(matches!(frame, Http2Frame::Reset(_, CANCEL)), "{frame:?}");
    }
    assert!(metric(&node, "forge_http_responses_stalled_total").await >= 8.0);
}

#[tokio::test]
async fn a_stalled_stream_is_reset_while_others_of_its_connection_go_on() {
    let database = Database::create().await;
    let (node, _home) = node_with_file(&database, MIB, "write_timeout = \"2s\"").await;
    let mut client = Http2::connect(address(&node), 0).await;
    client.grant(0, 1 << 30).await;
    for stream in [1, 3, 5] {
        client.get(stream, "/large.bin").await;
    }
    // The second of them takes a little, which earns it a little.
    client.grant(3, 1_000).await;
    let (mut reset, mut small, mut bytes) = (BTreeSet::new(), 7, 0);
    client.get(small, "/health").await;
    client.grant(small, 1_000).await;
    while reset.len() < 3 {
        match next(&mut client).await.expect("the connection stays") {
            Http2Frame::Reset(stream, code) => {
                assert_eq!(code, CANCEL);
                reset.insert(stream);
            }
            // Requests go on and on, and prolong nothing.
            Http2Frame::Data(stream, _, true) if stream == small => {
                small += 2;
                client.get(small, "/health").await;
                client.grant(small, 1_000).await;
            }
            Http2Frame::Data(stream, data, last) => {
                assert!(stream == 3 && !last);
                bytes += data.len();
            }
            Http2Frame::Headers(..) => {}
        }
    }
    assert_eq!((reset, bytes), (BTreeSet::from([1, 3, 5]), 1_000));
    // The connection is as good as before.
    let stream = small + 2;
    client.get(stream, "/large.bin").await;
    client.grant(stream, 2 * MIB as u32).await;
    let mut bytes = 0;
    loop {
        match next(&mut client).await.expect("the connection stays") {
            Http2Frame::Data(of, data, last) if of == stream => {
                bytes += data.len();
                if last {
                    break;
                }
            }
            Http2Frame::Reset(of, code) => panic!("stream {of} was reset with {code}"),
            Http2Frame::Headers(..) | Http2Frame::Data(..) => {}
        }
    }
    assert_eq!(bytes, MIB);
}

#[tokio::test]
async fn slow_readers_get_all_of_their_file() {
    const READERS: usize = 20;
    const BYTES: usize = 8 * MIB;
    let database = Database::create().await;
    // The kernel's buffers hide the progress of these readers for longer than the timeout, and the file takes
    // longer than a connection may be idle.
    let keys = "write_timeout = \"1s\"\nkeep_alive = \"2s\"";
    let (mut node, _home) = node_with_file(&database, BYTES, keys).await;
    let before = node.process().resident_bytes();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read_slowly(address(&node)));
    }
    let (mut largest, mut sample) = (0, tokio::time::interval(Duration::from_millis(200)));
    loop {
        tokio::select! {
            _ = sample.tick() => {
                largest = largest.max(node.process().resident_bytes().saturating_sub(before));
            }
            read = readers.join_next() => match read {
                Some(bytes) => assert_eq!(bytes.expect("no reader panics"), BYTES),
                None => break,
            },
        }
    }
    println!("{READERS} slow readers of 8 MiB: {} KiB more", largest / 1024);
    assert!(largest < GROWTH_MAX, "{largest} bytes more");
}

/// Reads at 20 KiB a second for ten seconds, then as fast as the node sends; the bytes of the body.
async fn read_slowly(address: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(address).await.expect("the port is open");
    let request = b"GET /large.bin HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("the node reads");
    let mut answer = Vec::new();
    let mut piece = [0; 2 * 1024];
    for _ in 0..100 {
        let read = stream.read(&mut piece).await.expect("the node sends");
        answer.extend_from_slice(&piece[..read]);
        // The speed of the client is what this test is about.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A connection that was reset has fewer bytes than the file, which the caller sees.
    let _end = stream.read_to_end(&mut answer).await;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the head");
    answer.len() - head - 4
}

#[tokio::test]
async fn a_result_that_many_clients_take_slowly_is_in_memory_once() {
    const CLIENTS: usize = 40;
    const BYTES: usize = 4_000_000;
    let database = Database::create().await;
    let mut node = probe_on(&database).file("forge.toml", probe::CONFIG).start().await;
    retitle(&node, 1, "one").await;
    let before = node.process().resident_bytes();
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        let (mut socket, _) = Socket::hello(node.client().base(), None).await;
        socket.subscribe(1, "live.wide", json!({ "id": 1, "bytes": BYTES })).await;
        sockets.push(socket);
    }
    until("the result was delivered to all", PATIENCE, || async {
        (metric(&node, "forge_live_deliveries_total").await >= CLIENTS as f64).then_some(())
    })
    .await;
    let growth = node.process().resident_bytes().saturating_sub(before);
    println!("{CLIENTS} clients that do not read 4 MB: {} KiB more", growth / 1024);
    assert!(growth < GROWTH_MAX, "{growth} bytes more");
    // The figure is set by the ticks and by commands of clients.
    retitle(&node, 1, "two").await;
    until("two results are counted", PATIENCE, || async {
        (metric(&node, "forge_live_result_bytes").await >= (2 * BYTES) as f64).then_some(())
    })
    .await;
    drop(sockets);
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn a_slow_client_gives_up_an_old_result_when_others_need_the_memory() {
    const BYTES: usize = 4_000_000;
    let database = Database::create().await;
    // Its part is 21 million bytes less an eighth, 18 million: four results.
    let config = format!(
        "{}\n[reactivity]\nresults_bytes_max = 84000000\n[sessions]\nwrite_timeout = \"3s\"\n",
        probe::CONFIG
    );
    let node = probe_on(&database).file("forge.toml", config).start().await;
    let subscribe = async |title: &str| {
        retitle(&node, 1, title).await;
        let (mut socket, _) = Socket::hello(node.client().base(), None).await;
        socket.subscribe(1, "live.wide", json!({ "id": 1, "bytes": BYTES })).await;
        socket
    };
    // Each of them takes another version, at 20 KiB a second, which is fast enough otherwise.
    let mut slow = JoinSet::new();
    for number in 0..3_u32 {
        let before = metric(&node, "forge_live_deliveries_total").await;
        let mut socket = subscribe(&number.to_string()).await;
        until("the result was delivered", PATIENCE, || async {
            (metric(&node, "forge_live_deliveries_total").await > before).then_some(())
        })
        .await;
        slow.spawn(async move {
            let mut piece = vec![0; 2 * 1024];
            while socket.raw().read(&mut piece).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let last = json!(format!("last{}", " ".repeat(BYTES)));
    let mut reader = subscribe("last").await;
    timeout(PATIENCE, until_snapshot(&mut reader, 1, &last)).await.expect("the newest result");
    until("the slow ones are closed", PATIENCE, || async {
        (metric(&node, "forge_sessions_closed_total{code=\"1013\"}").await >= 2.0).then_some(())
    })
    .await;
}
