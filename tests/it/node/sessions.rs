//! Sessions over the wire: what a page does, from `hello` to the newest state.

use std::collections::BTreeMap;
use std::time::Duration;

use forge_actors::test_signals::Step;
use forge_tests::{Binary, Database, Node, Received, Signals, Socket, probe, until};
use serde_json::{Value, json};

use super::stage::{PATIENCE, probe_on};

/// A probe with this `[sessions]` section.
pub(crate) async fn node_with(database: &Database, sessions: &str) -> Node {
    probe_on(database)
        .file("forge.toml", format!("{}\n[sessions]\n{sessions}\n", probe::CONFIG))
        .start()
        .await
}

pub(crate) async fn retitle(node: &Node, id: i64, title: &str) {
    node.call("live.retitle", json!({ "id": id, "title": title }), None).await.data();
}

/// Value of a metric line; 0 when there is none.
pub(crate) async fn metric(node: &Node, line: &str) -> f64 {
    let text = node.client().get("/metrics").await.expect("the node answers").text;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_default()
}

/// Reads until the subscription has this result.
pub(crate) async fn until_snapshot(socket: &mut Socket, id: u32, expected: &Value) -> Value {
    loop {
        let frame = socket.frame_of("transition").await;
        let found =
            frame["mods"].as_array().expect("mods").iter().find(|modification| modification["id"] == id);
        if found.is_some_and(|modification| modification["snapshot"] == *expected) {
            return frame;
        }
    }
}

/// No session, and no subscription, is left.
pub(crate) async fn nothing_is_left(node: &Node) {
    until("all sessions have ended", PATIENCE, || async {
        let (sessions, subscriptions) =
            (metric(node, "forge_sessions").await, metric(node, "forge_live_subscriptions").await);
        (sessions == 0.0 && subscriptions == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_reaches_everyone_who_watches() {
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    let base = node.client().base();
    let (mut ana, welcome) = Socket::hello(base, Some(&probe::token("ana"))).await;
    assert_eq!((&welcome["subject"], &welcome["pingMs"]), (&json!("ana"), &json!(25_000)));
    assert!(
        welcome["session"].is_string() && welcome["node"].is_string() && welcome["expiresAt"].is_string(),
        "{welcome}"
    );
    let (mut anonymous, welcome) = Socket::hello(base, None).await;
    assert_eq!((&welcome["subject"], &welcome["expiresAt"]), (&json!(null), &json!(null)));
    for socket in [&mut ana, &mut anonymous] {
        socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
        let first = socket.frame().await;
        assert_eq!(
            (&first["type"], &first["from"], &first["mods"][0]["snapshot"]),
            (&json!("transition"), &json!(0), &json!(null)),
            "{first}"
        );
    }
    // A key that is none refuses its mutation, and not the connection.
    let args = json!({ "id": 1, "title": "none" });
    ana.send(json!({ "type": "mut", "id": 6, "name": "live.retitle", "args": args, "idem": "order 6" }))
        .await;
    let refused = ana.frame().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(6), &json!("BAD_REQUEST")), "{refused}");
    // A mutation over the WebSocket: its result, and in which state its writes are.
    let args = json!({ "id": 1, "title": "one" });
    ana.send(json!({ "type": "mut", "id": 7, "name": "live.retitle", "args": args, "idem": "k1" })).await;
    assert_eq!(ana.frame().await, json!({ "type": "mutResult", "id": 7, "data": null }));
    let changed = until_snapshot(&mut ana, 1, &json!("one")).await;
    assert_eq!(changed["applied"], json!([7]), "{changed}");
    let seen = until_snapshot(&mut anonymous, 1, &json!("one")).await;
    assert_eq!(seen["applied"], json!([]));
    // One change over HTTP, and one by a program that writes to the database without Forge.
    retitle(&node, 1, "two").await;
    until_snapshot(&mut anonymous, 1, &json!("two")).await;
    database.execute("update probe_rows set title = 'three'").await;
    let newest = until_snapshot(&mut anonymous, 1, &json!("three")).await;
    // A client that comes back with a version gets no more than it needs.
    let (mut back, _) = Socket::hello(base, None).await;
    let version = &newest["mods"][0]["version"];
    back.send(
        json!({ "type": "sub", "id": 9, "name": "live.title", "args": { "id": 1 }, "version": version }),
    )
    .await;
    assert_eq!(back.frame().await["mods"], json!([{ "id": 9, "unchanged": true, "version": version }]));
    // A client that unsubscribed is sent no further result.
    anonymous.send(json!({ "type": "unsub", "id": 1 })).await;
    anonymous.send(json!({ "type": "ping", "id": 3 })).await;
    assert_eq!(anonymous.frame_of("pong").await, json!({ "type": "pong", "id": 3 }));
    retitle(&node, 1, "four").await;
    until_snapshot(&mut back, 9, &json!("four")).await;
    anonymous.send(json!({ "type": "ping", "id": 4 })).await;
    assert_eq!(anonymous.frame().await, json!({ "type": "pong", "id": 4 }));
    drop((ana, anonymous, back));
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn mutations_run_in_order_and_fail_in_words() {
    let database = Database::create().await;
    let node = node_with(&database, "mutations_waiting_max = 3").await;
    let (mut socket, _) = Socket::hello(node.client().base(), Some(&probe::token("ana"))).await;
    let put = |id: u32, key: &str, pause_ms: u32| {
        let args = json!({ "key": key, "pauseMs": pause_ms });
        json!({ "type": "mut", "id": id, "name": "probe.put_halves", "args": args })
    };
    let first = put(1, "a", 300);
    socket.send(first).await;
    for id in 2..=5 {
        socket.send(put(id, "b", 0)).await;
    }
    // One runs, three wait, the fifth is refused; the third has the key of the second.
    let refused = socket.frame().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(5), &json!("OVERLOADED")), "{refused}");
    let mut codes = Vec::new();
    while codes.len() < 4 {
        let result = socket.frame_of("mutResult").await;
        assert_eq!(result["id"], json!(codes.len() + 1), "in order");
        codes.push(result["error"]["code"].as_str().map(str::to_owned));
    }
    assert_eq!(codes, [None, None, Some("CONFLICT".to_owned()), Some("CONFLICT".to_owned())]);
    let other_kinds = [
        ("live.title", "METHOD_NOT_ALLOWED"),
        ("probe.sleep", "METHOD_NOT_ALLOWED"),
        ("probe.nothing", "NOT_FOUND"),
    ];
    for (id, (name, code)) in (10..).zip(other_kinds) {
        socket.send(json!({ "type": "mut", "id": id, "name": name, "args": {} })).await;
        assert_eq!(socket.frame_of("mutResult").await["error"]["code"], code, "{name}");
    }
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let traced = json!({ "type": "mut", "id": 20, "name": "probe.put", "args": {}, "trace": parent });
    socket.send(traced).await;
    let error = &socket.frame_of("mutResult").await["error"];
    assert_eq!((&error["code"], &error["traceId"]), (&json!("VALIDATION"), &json!(trace)));
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_answered_with_its_error() {
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    let (mut socket, _) = Socket::hello(node.client().base(), None).await;
    let refusals = [
        ("live.nothing", json!({}), "NOT_FOUND"),
        ("live.mine", json!({ "id": 1 }), "UNAUTHENTICATED"),
        ("forge.tree", json!({}), "UNAUTHENTICATED"),
        ("live.title", json!({ "id": "one" }), "VALIDATION"),
    ];
    for (name, args, code) in refusals {
        socket.subscribe(1, name, args).await;
        let frame = socket.frame().await;
        assert_eq!(frame["mods"][0]["error"]["code"], code, "{name}: {frame}");
    }
    // Each of them ended, so that the number is free.
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    assert_eq!(socket.frame().await["mods"][0]["snapshot"], json!(null));
}

/// As while the nodes of a cluster are replaced: the page may be newer or older than the node.
#[tokio::test]
async fn a_page_of_another_version_keeps_the_subscription_that_this_node_cannot_serve() {
    let database = Database::create().await;
    // The demo: the probe's functions have types that no client can be generated for.
    let node =
        Node::builder(Binary::Forge).database(&database).environment("FORGE_AUTH__SECRET", probe::SECRET);
    let node = node.start().await;
    let base = node.client().base();
    let refusals = [
        ("projects.list", json!({ "added": true }), "VALIDATION"),
        ("tasks.list", json!({}), "VALIDATION"),
        ("tasks.added", json!({}), "NOT_FOUND"),
    ];
    let token = probe::token("01890a5d-ac96-774b-bcce-b302099a8057");
    let (_socket, welcome) = Socket::hello(base, None).await;
    assert!(welcome["contract"].is_string(), "{welcome}");
    for (contract, is_other) in [(json!("0123456789abcdef"), true), (welcome["contract"].clone(), false)] {
        let mut socket = Socket::connect(base).await;
        socket.send(json!({ "type": "hello", "proto": 1, "contract": contract, "token": token })).await;
        assert_eq!(socket.frame().await["type"], "welcome");
        for (id, (name, args, code)) in (1..).zip(refusals.clone()) {
            socket.subscribe(id, name, args.clone()).await;
            let expected = if is_other { "VERSION_MISMATCH" } else { code };
            let frame = socket.frame().await;
            assert_eq!(frame["mods"][0]["error"]["code"], expected, "{name} {args}: {frame}");
        }
        // The subscription is there, so that its number is taken, or has ended.
        socket.subscribe(1, "projects.list", json!({})).await;
        let (frames, code) = match socket.next().await {
            Received::Frame(frame) if frame["type"] == "fault" => socket.closed().await,
            Received::Frame(frame) => (vec![frame], None),
            Received::Closed(code) => (Vec::new(), code),
        };
        assert_eq!(code, is_other.then_some(1008), "{frames:?}");
    }
}

#[tokio::test]
async fn two_subscriptions_move_together() {
    const CHANGES: usize = 200;
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    database.execute("insert into probe_accounts select n, 100 from generate_series(1, 10) n").await;
    let (mut socket, _) = Socket::hello(node.client().base(), Some(&probe::token("ana"))).await;
    socket.subscribe(1, "live.accounts", json!({})).await;
    socket.subscribe(2, "live.total", json!({})).await;
    let writing = async {
        for n in 0..CHANGES {
            database
                .execute(&format!(
                    "update probe_accounts set balance = balance + 1 where id = {}",
                    n % 10 + 1
                ))
                .await;
        }
    };
    let goal = 1_000 + CHANGES as i64;
    let reading = async {
        let (mut sum, mut total, mut both, mut at) = (None, None, 0, 0);
        while total != Some(goal) || sum != Some(goal) {
            let frame = socket.frame_of("transition").await;
            assert_eq!(frame["from"], json!(at), "transitions follow each other");
            let to = frame["to"].as_u64().expect("a number");
            assert!(to >= at);
            at = to;
            for modification in frame["mods"].as_array().expect("mods") {
                match modification["id"].as_u64() {
                    Some(1) => {
                        let accounts = modification["snapshot"].as_array().expect("accounts");
                        sum = Some(
                            accounts
                                .iter()
                                .map(|account| account["balance"].as_i64().expect("a number"))
                                .sum::<i64>(),
                        );
                    }
                    _ => total = modification["snapshot"].as_i64(),
                }
            }
            if let (Some(sum), Some(total)) = (sum, total) {
                assert_eq!(sum, total, "an inconsistent view: {frame}");
                both += 1;
            }
        }
        both
    };
    let ((), seen) = tokio::join!(writing, reading);
    println!("{seen} transitions for {CHANGES} changes");
    assert!(seen > 1, "all at once proves nothing");
}

#[tokio::test]
async fn no_result_is_sent_after_a_token_expired() {
    let database = Database::create().await;
    let signals = Signals::new();
    let node = probe_on(&database).signals(&signals).start().await;
    let base = node.client().base();
    retitle(&node, 1, "before").await;
    let token = probe::short_token("ana", Duration::from_secs(2));
    let (mut lapsing, first) = Socket::hello(base, Some(&token)).await;
    let (mut renewing, second) = Socket::hello(base, Some(&token)).await;
    let (mut other, _) = Socket::hello(base, None).await;
    for socket in [&mut lapsing, &mut renewing] {
        socket.subscribe(1, "live.mine", json!({ "id": 1 })).await;
        until_snapshot(socket, 1, &json!("before for ana")).await;
        socket.subscribe(2, "live.title", json!({ "id": 1 })).await;
        until_snapshot(socket, 2, &json!("before")).await;
    }
    other.subscribe(2, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut other, 2, &json!("before")).await;
    tokens_expired(&signals, [&first, &second]).await;
    retitle(&node, 1, "after").await;
    until_snapshot(&mut other, 2, &json!("after")).await;
    // Another token in time brings the newest, as one who may have it, and what was asked for meanwhile.
    renewing.subscribe(3, "live.mine", json!({ "id": 1 })).await;
    renewing.send(json!({ "type": "auth", "token": probe::token("bob") })).await;
    let answer = renewing.frame().await;
    assert_eq!(
        (&answer["type"], &answer["subject"]),
        (&json!("auth"), &json!("bob")),
        "no transition was sent before: {answer}"
    );
    let newest = until_snapshot(&mut renewing, 1, &json!("after for bob")).await;
    let mods = newest["mods"].as_array().expect("mods");
    assert!(
        mods.len() >= 2 && mods.iter().all(|modification| modification["error"].is_null()),
        "together: {newest}"
    );
    if !mods.iter().any(|modification| modification["id"] == 3) {
        until_snapshot(&mut renewing, 3, &json!("after for bob")).await;
    }
    let (frames, code) = lapsing.closed().await;
    assert_eq!(code, Some(4401));
    let transitions: Vec<_> = frames.iter().filter(|frame| frame["type"] == "transition").collect();
    assert!(
        transitions.iter().all(|frame| !frame.to_string().contains("after")),
        "sent after the expiry: {transitions:?}"
    );
    assert_eq!(frames.last().map(|frame| &frame["error"]["code"]), Some(&json!("UNAUTHENTICATED")));
}

/// Asks for what needs a token and for what does not, between the token's expiry and the next one of the same
/// caller, or right after it.
#[tokio::test]
async fn what_is_asked_for_in_the_grace_is_answered() {
    let database = Database::create().await;
    let signals = Signals::new();
    let node = probe_on(&database).signals(&signals).start().await;
    let base = node.client().base();
    retitle(&node, 1, "one").await;
    let token = probe::short_token("ana", Duration::from_secs(2));
    let (mut before, first) = Socket::hello(base, Some(&token)).await;
    let (mut after, second) = Socket::hello(base, Some(&token)).await;
    for socket in [&mut before, &mut after] {
        socket.subscribe(1, "live.mine", json!({ "id": 1 })).await;
        until_snapshot(socket, 1, &json!("one for ana")).await;
    }
    tokens_expired(&signals, [&first, &second]).await;
    let renewal = json!({ "type": "auth", "token": probe::token("ana") });
    ask(&mut before).await;
    before.send(renewal.clone()).await;
    after.send(renewal).await;
    ask(&mut after).await;
    for socket in [&mut before, &mut after] {
        let answer = socket.frame().await;
        assert_eq!(
            (&answer["type"], &answer["subject"]),
            (&json!("auth"), &json!("ana")),
            "nothing comes before: {answer}"
        );
        let mut snapshots = BTreeMap::new();
        while !(snapshots.contains_key(&2) && snapshots.contains_key(&3)) {
            let frame = socket.frame_of("transition").await;
            for modification in frame["mods"].as_array().expect("mods") {
                assert_eq!(modification["error"], json!(null), "{frame}");
                snapshots
                    .insert(modification["id"].as_u64().expect("a number"), modification["snapshot"].clone());
            }
        }
        assert_eq!((&snapshots[&2], &snapshots[&3]), (&json!("one for ana"), &json!("one")), "{snapshots:?}");
    }
    retitle(&node, 1, "two").await;
    for socket in [&mut before, &mut after] {
        let frame = socket.frame_of("transition").await;
        let ids: Vec<_> = frame["mods"]
            .as_array()
            .expect("mods")
            .iter()
            .map(|modification| modification["id"].as_u64())
            .collect();
        assert_eq!(ids, [Some(1), Some(2), Some(3)], "all of them live on: {frame}");
    }
}

/// Waits until the sessions that were greeted with these frames hold back all results.
async fn tokens_expired(signals: &Signals, welcomes: [&Value; 2]) {
    for welcome in welcomes {
        let session = welcome["session"].as_str().expect("a session has an id");
        signals.reached(Step::SessionHoldsResults, session, 1).await;
    }
}

async fn ask(socket: &mut Socket) {
    socket.subscribe(2, "live.mine", json!({ "id": 1 })).await;
    socket.subscribe(3, "live.title", json!({ "id": 1 })).await;
}

#[tokio::test]
async fn who_signs_out_keeps_what_is_public() {
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    retitle(&node, 1, "one").await;
    let (mut socket, _) = Socket::hello(node.client().base(), Some(&probe::token("ana"))).await;
    socket.subscribe(1, "live.mine", json!({ "id": 1 })).await;
    socket.subscribe(2, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut socket, 2, &json!("one")).await;
    socket.send(json!({ "type": "auth", "token": "nonsense" })).await;
    assert_eq!(socket.frame_of("auth").await["error"]["code"], "UNAUTHENTICATED");
    socket.send(json!({ "type": "auth", "token": null })).await;
    assert_eq!(socket.frame_of("auth").await["subject"], json!(null));
    let frame = socket.frame_of("transition").await;
    let mods = frame["mods"].as_array().expect("mods");
    assert_eq!(
        (&mods[0]["error"]["code"], &mods[1]["unchanged"]),
        (&json!("UNAUTHENTICATED"), &json!(true)),
        "{frame}"
    );
    retitle(&node, 1, "two").await;
    let frame = until_snapshot(&mut socket, 2, &json!("two")).await;
    assert_eq!(frame["mods"].as_array().map(Vec::len), Some(1), "the other one ended: {frame}");
}

#[tokio::test]
async fn a_token_that_is_not_accepted_ends_the_greeting() {
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    let mut socket = Socket::connect(node.client().base()).await;
    socket.send(json!({ "type": "hello", "proto": 1, "token": "nonsense" })).await;
    let (frames, code) = socket.closed().await;
    assert_eq!((frames[0]["type"].as_str(), code), (Some("fault"), Some(4401)), "{frames:?}");
    assert_eq!(socket.next().await, Received::Closed(None));
}
