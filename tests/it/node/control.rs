//! Orders about the very actors that orders and their answers travel by; and what a node says of itself and
//! of those that ended.

use std::time::Instant;

use forge_tests::{Database, Node, Reply, Socket, probe, until};
use serde_json::{Value, json};

use super::peers::{await_links, id_of, member, status};
use super::sessions::{retitle, until_snapshot};
use super::stage::{PATIENCE, probe_on};

async fn order(node: &Node, verb: &str, of: &str, path: &str) -> Reply {
    node.call(verb, json!({ "node": of, "path": path }), Some(&probe::admin_token())).await
}

async fn actors(node: &Node) -> Option<Value> {
    let reply = node.client().try_call("forge.actors", json!({}), Some(&probe::admin_token())).await.ok()?;
    (reply.status == 200).then(|| reply.json()["data"].take())
}

/// When the actor started, as its own node says; none while the node does not answer.
async fn started_at(node: &Node, path: &str) -> Option<String> {
    let actors = actors(node).await?;
    let actor = actors["actors"].as_array()?.iter().find(|actor| actor["path"] == path)?.clone();
    actor["startedAt"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn what_every_call_runs_in_is_restarted_without_waiting_for_the_order() {
    let database = Database::create().await;
    let mut node = member(&database, "only").start().await;
    let log = node.process().stderr().clone();
    let id = status(&node).await["node"].as_str().expect("an id").to_owned();
    for path in ["node/functions", "node/gateway/listener"] {
        let before = started_at(&node, path).await.expect("it runs");
        let began = Instant::now();
        let reply = order(&node, "forge.restartActor", &id, path).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        println!("{path} was answered after {:?}", began.elapsed());
        // It was answered first, and done by somebody who waits for no answer.
        until("it is done", PATIENCE, || async {
            log.line(&format!("deferred command carried out path=\"{path}\""))
        })
        .await;
        until("it has started anew", PATIENCE, || async {
            started_at(&node, path).await.filter(|now| *now != before)
        })
        .await;
    }
    assert_eq!(order(&node, "forge.stopActor", &id, "node/functions").await.code(), "CONFLICT");
    assert_eq!(order(&node, "forge.restartActor", &id, "node/no/such").await.code(), "NOT_FOUND");
    let outcomes =
        database.column::<String>("select outcome::text || ' ' || target from forge_audit order by at").await;
    assert_eq!(
        outcomes,
        ["done node/functions", "done node/gateway/listener", "failed node/functions", "failed node/no/such"]
    );
}

#[tokio::test]
async fn what_an_order_came_by_is_restarted_after_its_answer() {
    let database = Database::create().await;
    let here = member(&database, "here").start().await;
    let there = member(&database, "there").start().await;
    await_links(&here, &["there"], PATIENCE).await;
    let id = id_of(&here, "there").await;
    for path in ["node/cluster/mesh", "node/cluster/mesh/links", "node/cluster/mesh/endpoint"] {
        let before = started_at(&there, path).await.expect("it runs");
        let reply = order(&here, "forge.restartActor", &id, path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        until("it has started anew", PATIENCE, || async {
            started_at(&there, path).await.filter(|now| *now != before)
        })
        .await;
        await_links(&there, &["here"], PATIENCE).await;
        await_links(&here, &["there"], PATIENCE).await;
    }
    let link = until("there is a link", PATIENCE, || async {
        let actors = actors(&there).await?;
        let paths = actors["actors"].as_array()?.iter().filter_map(|actor| actor["path"].as_str());
        paths.into_iter().find(|path| path.starts_with("node/cluster/mesh/links/")).map(str::to_owned)
    })
    .await;
    let reply = order(&here, "forge.stopActor", &id, &link).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    await_links(&here, &["there"], PATIENCE).await;
    let failed: i64 = database.value("select count(*) from forge_audit where outcome::text <> 'done'").await;
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn a_node_says_what_it_is_ready_for_and_forgets_the_dead() {
    let database = Database::create().await;
    let node = probe_on(&database).arguments(["--name", "lives"]).start().await;
    let ready = node.client().get("/ready").await.expect("an answer").json();
    let checks: Vec<_> = ready["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|check| (check["name"].as_str(), check["ready"] == true))
        .collect();
    assert_eq!(
        checks,
        ["database", "functions", "clock", "reactor", "listener"].map(|name| (Some(name), true))
    );

    // One that ended an hour ago, one that came back twice, and two that had one name at the same time.
    database
        .execute(
            "insert into forge_nodes (id, name, state, roles, address, version, protocol, started_at, seen_at, ended_at)
             select gen_random_uuid(), name, 'dead', '{}', address, '0', 1, now() - started, now() - seen, now() - seen
             from (values ('old', 'a:1', interval '62 minutes', interval '61 minutes'),
                          ('again', 'a:2', interval '6 minutes', interval '5 minutes'),
                          ('again', 'a:2', interval '5 minutes', interval '4 minutes'),
                          ('again', 'a:3', interval '3 minutes', interval '2 minutes'),
                          ('shared', 'a:4', interval '9 minutes', interval '2 minutes'),
                          ('shared', 'a:5', interval '8 minutes', interval '1 minute')) as ended(name, address, started, seen)",
        )
        .await;
    let names = || async {
        let nodes = status(&node).await["nodes"].take();
        nodes
            .as_array()
            .expect("nodes")
            .iter()
            .map(|node| node["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["shared", "shared", "again", "lives"]);
    let overview = node.call("forge.overview", json!({}), Some(&probe::admin_token())).await.data();
    assert_eq!(overview["nodes"].as_array().expect("nodes").len(), 4);
    let ended = overview["ended"].as_array().expect("ended nodes");
    assert_eq!(ended.len(), 5, "what happened to each process of the last hour");
}

#[tokio::test]
async fn a_schema_that_changes_is_no_reason_for_a_warning() {
    let database = Database::create().await;
    let mut node = probe_on(&database).start().await;
    retitle(&node, 1, "0").await;
    let (mut socket, _) = Socket::hello(node.client().base(), None).await;
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut socket, 1, &json!("0")).await;
    for number in 1..=5 {
        database.execute(&format!("alter table probe_rows add column more_{number} int")).await;
        retitle(&node, 1, &number.to_string()).await;
        until_snapshot(&mut socket, 1, &json!(number.to_string())).await;
    }
    let log = node.process().stderr().text();
    assert!(!log.contains("a tick was lost"), "{log}");
}

#[tokio::test]
async fn a_node_shows_its_part_in_elections_and_the_last_run_of_its_duties() {
    let database = Database::create().await;
    let node = member(&database, "only").start().await;
    let id = status(&node).await["node"].as_str().expect("an id").to_owned();
    let admin = probe::admin_token();
    let overview = node.call("forge.overview", json!({}), Some(&admin)).await.data();
    assert_eq!(overview["nodes"][0]["stats"]["election"], json!({ "leaseMs": 3_000, "obstacle": null }));
    // An elected duty runs as soon as its term begins.
    let arguments = json!({ "node": id, "path": "node/leader/term_expiry" });
    let duty = until("the duty has run", PATIENCE, || async {
        let mut actor = node.call("forge.actor", arguments.clone(), Some(&admin)).await.data();
        let duty = actor["duty"].take();
        (!duty["lastRun"].is_null()).then_some(duty)
    })
    .await;
    assert_eq!(
        (&duty["elected"], &duty["leading"], &duty["failures"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert_eq!(duty["lastRun"]["outcome"], json!({ "is": "ok", "handled": 0 }));
    let arguments = json!({ "node": id, "path": "node/leader/elector" });
    let elector = node.call("forge.actor", arguments, Some(&admin)).await.data();
    assert!(elector["duty"].is_null() && elector["row"]["kind"] == "elector", "{elector:#}");
}
