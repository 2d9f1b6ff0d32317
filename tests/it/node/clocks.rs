//! A node whose clock is wrong. The clocks of one machine agree, so the database answers one of the nodes
//! with another time: its sessions find a function of the same name before the server's own.

use forge_tests::{Binary, Database, Node, NodeBuilder, probe, until};

use super::peers::member;
use super::sessions::metric;
use super::stage::PATIENCE;

/// Makes the database's clock be ahead for nodes that look into the schema `wrong`.
async fn shift(database: &Database, by: &str) {
    database
        .execute(&format!(
            "create or replace function wrong.clock_timestamp() returns timestamptz language sql
             as $$ select pg_catalog.clock_timestamp() + interval '{by}' $$"
        ))
        .await;
}

fn member_with_wrong_clock(database: &Database, name: &str) -> NodeBuilder {
    let url = database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let path = "options=-c%20search_path%3Dpublic%2Cwrong%2Cpg_catalog";
    Node::builder(Binary::Probe)
        .database_url(&format!("{url}{separator}{path}"))
        .file("forge.toml", probe::CONFIG)
        .arguments(["--name", name])
}

/// Status and reason of the check `clock`.
async fn clock_check(node: &Node) -> Option<(u16, Option<String>)> {
    let reply = node.client().get("/ready").await.ok()?;
    let checks = reply.json()["checks"].as_array().cloned()?;
    let check = checks.into_iter().find(|check| check["name"] == "clock")?;
    Some((reply.status, check["reason"].as_str().map(str::to_owned)))
}

async fn await_clock(node: &Node, status: u16, reason: Option<&str>) {
    until(&format!("the check says {status} and {reason:?}"), PATIENCE, || async {
        let (found, text) = clock_check(node).await?;
        let fits = match (&text, reason) {
            (Some(text), Some(reason)) => text.contains(reason),
            (None, None) => true,
            _ => false,
        };
        (found == status && fits).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_says_so_and_leaves_the_traffic_to_those_with_the_right_time() {
    let database = Database::create().await;
    database.execute("create schema wrong").await;
    shift(&database, "1 minute").await;
    let mut wrong = member_with_wrong_clock(&database, "wrong").start().await;
    // Alone it may have the right time, and the database the wrong one.
    let text = "this machine's clock is 1m behind the database's";
    await_clock(&wrong, 200, Some(text)).await;
    let offset = metric(&wrong, "forge_clock_offset_seconds").await;
    assert!((59.0..61.0).contains(&offset), "{offset}");
    let right = member(&database, "right").start().await;
    await_clock(&wrong, 503, Some(text)).await;
    await_clock(&right, 200, None).await;
    shift(&database, "0 minutes").await;
    wrong.await_ready(PATIENCE).await;
    await_clock(&wrong, 200, None).await;
    let ended = wrong.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    for line in ["clocks differ: this machine's clock is 1m behind", "clock agrees with the database's again"]
    {
        assert_eq!(ended.stderr.matches(line).count(), 1, "{line}: {}", ended.stderr);
    }
    assert_eq!(right.stop(PATIENCE).await.code(), 0);
}
