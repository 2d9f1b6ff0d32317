//! How sessions end: by what the client does, by what it does not do, and by the node.

use std::time::Duration;

use forge_tests::{Database, Node, Signal, Socket, probe, until};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::sessions::{metric, node_with, nothing_is_left, retitle, until_snapshot};
use super::stage::{PATIENCE, probe_on};

#[tokio::test]
async fn only_pages_of_allowed_origins_connect() {
    let database = Database::create().await;
    let config =
        probe::CONFIG.replace("[gateway]", "[gateway]\ncors_origins = [\"https://app.example.com\"]");
    let node = probe_on(&database).file("forge.toml", config).start().await;
    let base = node.client().base();
    let own = base.to_owned();
    let check = async |origin: &str, expected: Option<u16>| {
        let refused = Socket::try_connect(base, &[("origin", origin)]).await.err();
        assert_eq!(refused, expected, "origin {origin}");
    };
    check(&own, None).await;
    check("https://app.example.com", None).await;
    check("https://evil.example.com", Some(403)).await;
    check("https://app.example.com.evil.com", Some(403)).await;
    check("http://127.0.0.1:1", Some(403)).await;
    check("null", Some(403)).await;
    let answer = node.client().get("/ws?token=x").await.expect("the node answers");
    assert_eq!((answer.status, answer.code()), (400, "BAD_REQUEST".to_owned()));
    let wrong = Socket::try_connect(base, &[("sec-websocket-protocol", "forge.v2")]).await.err();
    assert_eq!(wrong, Some(400));
    let old = Socket::try_connect(base, &[("sec-websocket-version", "8")]).await.err();
    assert_eq!(old, Some(400));
    let upgraded_post = node.client().post("/ws", "{}", None).await.expect("the node answers");
    assert_eq!(upgraded_post.status, 405);
}

#[tokio::test]
async fn sessions_are_limited_as_configured() {
    let database = Database::create().await;
    let node = node_with(&database, "connections_max = 3\naddress_connections_max = 2").await;
    let base = node.client().base();
    let (first, second) = (Socket::hello(base, None).await, Socket::hello(base, None).await);
    assert_eq!(Socket::try_connect(base, &[]).await.err(), Some(503));
    assert_eq!(metric(&node, "forge_sessions_refused_total").await, 1.0);
    drop(first);
    until("its permit is given back", PATIENCE, || async { Socket::try_connect(base, &[]).await.ok() }).await;
    drop(second);
    nothing_is_left(&node).await;
}

/// What is sent after `hello`, and the close code that answers it.
fn corpus() -> Vec<(Message, u16)> {
    let text = |text: &str| Message::text(text.to_owned());
    let deep = format!(
        r#"{{"type":"sub","id":1,"name":"live.title","args":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    vec![
        (text(""), 4400),
        (text("nonsense"), 4400),
        (text("[]"), 4400),
        (text("{}"), 4400),
        (text(r#"{"type":"nothing"}"#), 4400),
        (text(r#"{"type":"ping","id":4294967296}"#), 4400),
        (text(r#"{"type":"ping","id":1,"more":1}"#), 4400),
        (text(r#"{"type":"sub","id":1}"#), 4400),
        (text(&deep), 4400),
        (Message::binary(vec![1, 2, 3]), 4400),
        (Message::text("x".repeat(300_000)), 1009),
        (text(r#"{"type":"hello","proto":1}"#), 1008),
    ]
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection_and_nothing_else() {
    let database = Database::create().await;
    let mut node = node_with(&database, "").await;
    let base = node.client().base().to_owned();
    let (mut bystander, _) = Socket::hello(&base, None).await;
    bystander.subscribe(1, "live.title", json!({ "id": 1 })).await;
    bystander.frame_of("transition").await;
    let before = node.process().resident_bytes();
    for round in 0..5 {
        for (message, expected) in corpus() {
            let shown: String = message.to_text().unwrap_or("(binary)").chars().take(60).collect();
            let (mut socket, _) = Socket::hello(&base, None).await;
            // The node may have closed before all of it was sent.
            let _sent = socket.send_message(message).await;
            let (frames, code) = socket.closed().await;
            assert_eq!(code, Some(expected), "round {round}: {shown}");
            assert_eq!(
                frames.last().map(|frame| &frame["type"]),
                Some(&json!("fault")),
                "{shown}: {frames:?}"
            );
        }
    }
    // Below the level of messages: unmasked, a reserved opcode, a text that is not UTF-8, a fragment of
    // nothing, a ping that is too long. A frame is checked when all of it has arrived, so the ping has its
    // 126 bytes.
    let long_ping = [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[b'x'; 126]].concat();
    let raw: [&[u8]; 5] = [
        &[0x81, 0x02, b'{', b'}'],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
        &[0x80, 0x80, 0, 0, 0, 0],
        &long_ping,
    ];
    for bytes in raw {
        let (mut socket, _) = Socket::hello(&base, None).await;
        socket.raw().write_all(bytes).await.expect("the node reads");
        assert_eq!(socket.closed().await.1, Some(4400), "{bytes:?}");
    }
    // Half a frame, and gone.
    let (mut socket, _) = Socket::hello(&base, None).await;
    socket.raw().write_all(&[0x81, 0xfe, 0xff, 0xff, 0, 0]).await.expect("the node reads");
    drop(socket);
    retitle(&node, 1, "still here").await;
    until_snapshot(&mut bystander, 1, &json!("still here")).await;
    let grown = node.process().resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
    assert!(!node.process().stderr().text().contains("panicked"), "the node panicked");
    drop(bystander);
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn rules_are_kept_or_the_connection_ends() {
    let database = Database::create().await;
    let limits =
        "subscriptions_max = 2\nframes_burst_max = 20\nframes_per_second_max = 1\nhello_timeout = \"300ms\"";
    let node = node_with(&database, limits).await;
    let base = node.client().base();
    let mut silent = Socket::connect(base).await;
    assert_eq!(silent.closed().await.1, Some(1008), "no hello");
    let mut rude = Socket::connect(base).await;
    rude.send(json!({ "type": "ping", "id": 1 })).await;
    assert_eq!(rude.closed().await.1, Some(1008), "hello comes first");
    let (mut greedy, _) = Socket::hello(base, None).await;
    for id in 0..3 {
        greedy.subscribe(id, "live.title", json!({ "id": 1 })).await;
    }
    assert_eq!(greedy.closed().await.1, Some(1008), "a third subscription");
    let (mut twice, _) = Socket::hello(base, None).await;
    twice.subscribe(1, "live.title", json!({ "id": 1 })).await;
    twice.subscribe(1, "live.title", json!({ "id": 2 })).await;
    assert_eq!(twice.closed().await.1, Some(1008), "one number twice");
    for control in [Message::text(r#"{"type":"ping","id":1}"#), Message::Ping(Vec::new().into())] {
        let (mut flood, _) = Socket::hello(base, None).await;
        for _ in 0..100 {
            let _sent = flood.send_message(control.clone()).await;
        }
        assert_eq!(flood.closed().await.1, Some(1008), "a flood of {control:?}");
    }
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn a_client_that_is_not_there_is_cut_off() {
    let database = Database::create().await;
    let node = node_with(&database, "ping_interval = \"200ms\"").await;
    let (mut alive, _) = Socket::hello(node.client().base(), None).await;
    // The test does not read this socket, so no ping of the server is answered.
    let (dead, _) = Socket::hello(node.client().base(), None).await;
    let cut_off = until("the silent one is cut off", PATIENCE, || async {
        (metric(&node, "forge_sessions").await == 1.0).then_some(())
    });
    tokio::select! {
        ended = alive.closed() => panic!("who answers pings stays: {ended:?}"),
        () = cut_off => {}
    }
    drop(dead);
}

#[tokio::test]
async fn a_slow_reader_gets_what_is_newest_and_costs_nobody_else() {
    const CHANGES: usize = 300;
    const BYTES: u32 = 100_000;
    let database = Database::create().await;
    // Longer than the changes take on a busy machine.
    let mut node = node_with(&database, "write_timeout = \"8s\"").await;
    retitle(&node, 1, "0").await;
    let base = node.client().base().to_owned();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let (mut socket, _) = Socket::hello(&base, None).await;
        socket.subscribe(1, "live.wide", json!({ "id": 1, "bytes": BYTES })).await;
        socket.frame_of("transition").await;
        sockets.push(socket);
    }
    let [mut fast, mut pausing, stalled] = <[Socket; 3]>::try_from(sockets).ok().expect("three");
    let before = node.process().resident_bytes();
    let padding = " ".repeat(BYTES as usize);
    let last = json!(format!("{CHANGES}{padding}"));
    let writing = async {
        for n in 1..=CHANGES {
            retitle(&node, 1, &n.to_string()).await;
        }
    };
    tokio::join!(writing, until_snapshot(&mut fast, 1, &last));
    // It comes back before its time is up: fewer frames than changes, and the newest at the end.
    let mut frames = 0;
    loop {
        let frame = pausing.frame_of("transition").await;
        frames += 1;
        if frame["mods"][0]["snapshot"] == last {
            break;
        }
    }
    println!("the pausing client got {frames} frames for {CHANGES} changes");
    assert!(frames < CHANGES / 2, "a queue of old states: {frames}");
    assert!(metric(&node, "forge_session_coalesced_total").await > 0.0);
    until("the stalled one is closed", PATIENCE, || async {
        (metric(&node, "forge_sessions_closed_total{code=\"1013\"}").await == 1.0).then_some(())
    })
    .await;
    let grown = node.process().resident_bytes().saturating_sub(before);
    println!("memory grew by {} KiB", grown / 1024);
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
    drop((fast, pausing, stalled));
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn a_drain_says_goodbye_and_ends_what_runs() {
    let database = Database::create().await;
    let mut node = node_with(&database, "go_away_after = \"3s\"").await;
    let base = node.client().base().to_owned();
    let (mut idle, _) = Socket::hello(&base, None).await;
    let (mut busy, _) = Socket::hello(&base, Some(&probe::token("ana"))).await;
    let slow = json!({ "key": "slow", "pauseMs": 1_000 });
    busy.send(json!({ "type": "mut", "id": 1, "name": "probe.put_halves", "args": slow })).await;
    until("the mutation runs", PATIENCE, || async {
        (database
            .value::<i64>("select count(*) from pg_stat_activity where application_name like '%put_halves%'")
            .await
            > 0)
        .then_some(())
    })
    .await;
    node.process().signal(Signal::TERM);
    assert_eq!(idle.frame().await, json!({ "type": "goAway", "afterMs": 3_000 }));
    assert_eq!(idle.closed().await, (Vec::new(), Some(1001)));
    let (frames, code) = busy.closed().await;
    assert_eq!(
        frames
            .iter()
            .map(|frame| frame["type"].as_str().unwrap_or_default())
            .filter(|kind| *kind == "mutResult")
            .count(),
        1,
        "{frames:?}"
    );
    assert_eq!(code, Some(1001));
    let ended = node.process().ended(PATIENCE).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert_eq!(database.value::<i64>("select count(*) from probe_halves").await, 2, "it committed");
}

#[tokio::test]
async fn a_session_that_is_stopped_sends_its_client_1012() {
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    retitle(&node, 1, "one").await;
    let (mut socket, welcome) = Socket::hello(node.client().base(), None).await;
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut socket, 1, &json!("one")).await;
    let path = format!("node/gateway/sessions/{}", welcome["session"].as_str().expect("an id"));
    assert!(tree_of(&node).await.contains(&path), "a session stands in the tree");
    let stop = node
        .call(
            "forge.stopActor",
            json!({ "node": welcome["node"], "path": path }),
            Some(&probe::admin_token()),
        )
        .await;
    assert_eq!(stop.status, 200, "{}", stop.text);
    assert_eq!(socket.closed().await.1, Some(1012));
    until("it left the tree", PATIENCE, || async { (!tree_of(&node).await.contains(&path)).then_some(()) })
        .await;
    let (mut again, _) = Socket::hello(node.client().base(), None).await;
    again.subscribe(1, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut again, 1, &json!("one")).await;
    drop(again);
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn sessions_outlive_a_reactor_that_restarts() {
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    retitle(&node, 1, "one").await;
    let (mut socket, welcome) = Socket::hello(node.client().base(), None).await;
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut socket, 1, &json!("one")).await;
    let restart = json!({ "node": welcome["node"], "path": "node/reactor/ticker" });
    let restarted = node.call("forge.restartActor", restart, Some(&probe::admin_token())).await;
    assert_eq!(restarted.status, 200, "{}", restarted.text);
    retitle(&node, 1, "two").await;
    until_snapshot(&mut socket, 1, &json!("two")).await;
    // A mutation of before and one of after are both seen.
    socket
        .send(
            json!({ "type": "mut", "id": 1, "name": "live.retitle", "args": { "id": 1, "title": "three" } }),
        )
        .await;
    let changed = until_snapshot(&mut socket, 1, &json!("three")).await;
    assert_eq!(changed["applied"], json!([1]));
    let newest = Duration::from_secs(1);
    assert!(tokio::time::timeout(newest, socket.closed()).await.is_err(), "the connection stays open");
}

async fn tree_of(node: &Node) -> String {
    node.call(
        "forge.tree",
        json!({ "offset": 0, "limit": 200, "search": "sessions" }),
        Some(&probe::admin_token()),
    )
    .await
    .text
}
