//! What `forge.overview` and `forge.tree` say of nodes, their figures and their jobs.

use forge_tests::{Database, Node, probe, until};
use serde_json::{Value, json};
use sqlx::Executor;

use super::peers::{await_links, member};
use super::sessions::metric;
use super::stage::{PATIENCE, probe_on};

async fn overview(node: &Node) -> Value {
    node.call("forge.overview", json!({}), Some(&probe::admin_token())).await.data()
}

/// The entries of `list` whose name is `name`.
fn named<'a>(overview: &'a Value, list: &str, name: &str) -> Vec<&'a Value> {
    let entries = overview[list].as_array().expect("a list").iter();
    entries.filter(|entry| entry["name"] == name).collect()
}

#[tokio::test]
async fn a_node_that_stopped_in_order_is_not_lost_and_yields_to_its_successor() {
    let database = Database::create().await;
    let stays = member(&database, "stays").start().await;
    let leaves = member(&database, "leaves").start().await;
    await_links(&stays, &["leaves"], PATIENCE).await;
    let both = until("both report", PATIENCE, || async {
        let overview = overview(&stays).await;
        let reports = |name| named(&overview, "nodes", name)[0]["statsAgeMs"].is_number();
        (reports("stays") && reports("leaves")).then_some(overview)
    })
    .await;
    assert_eq!(named(&both, "nodes", "stays")[0]["statsAgeMs"], json!(0.0), "its own figures are of now");
    assert_eq!(leaves.stop(PATIENCE).await.code(), 0);

    let stopped = overview(&stays).await;
    let [card] = named(&stopped, "nodes", "leaves")[..] else { panic!("one card: {stopped:#}") };
    assert_eq!((&card["state"], &card["lost"]), (&json!("dead"), &json!(false)));
    assert!(card["endedAt"].is_string());

    let successor = member(&database, "leaves").start().await;
    let came_back = until("the successor is active", PATIENCE, || async {
        let overview = overview(&stays).await;
        let is_active = named(&overview, "nodes", "leaves").iter().any(|card| card["state"] == "active");
        is_active.then_some(overview)
    })
    .await;
    let [card] = named(&came_back, "nodes", "leaves")[..] else { panic!("one card: {came_back:#}") };
    let [ended] = named(&came_back, "ended", "leaves")[..] else { panic!("one event: {came_back:#}") };
    assert_eq!((&ended["lost"], ended["id"] == card["id"]), (&json!(false), false));
    for node in [stays, successor] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

#[tokio::test]
async fn the_head_names_the_application_and_where_it_runs() {
    let database = Database::create().await;
    let environment = ("FORGE_NODE__ENVIRONMENT", "staging");
    let node = member(&database, "only").environment(environment.0, environment.1).start().await;
    let application = overview(&node).await["application"].take();
    assert_eq!((&application["name"], &application["environment"]), (&json!("probe"), &json!("staging")));
    assert!(application["version"].as_str().is_some_and(|version| version.contains('.')), "{application}");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_worker_shows_its_job_and_the_time_limit_of_this_job() {
    let database = Database::create().await;
    let node = member(&database, "only").start().await;
    let job = json!({ "prefix": "shown", "count": 1, "ms": 30_000 });
    assert_eq!(node.call("jobs.enqueue", job, Some(&probe::token("ana"))).await.status, 200);
    let id: String = database.value("select id::text from forge_unfinished_jobs").await;
    let admin = probe::admin_token();
    let search = json!({ "search": "jobs.work", "offset": 0, "limit": 10, "sort": "busy" });
    let work = until("a worker shows the job", PATIENCE, || async {
        let page = node.call("forge.tree", search.clone(), Some(&admin)).await.data();
        let rows = page["rows"].as_array().expect("rows").iter();
        rows.map(|row| row["current"]["work"].clone()).find(|work| !work.is_null())
    })
    .await;
    assert_eq!(
        (&work["handler"], &work["id"], &work["limitMs"]),
        (&json!("jobs.work"), &json!(id), &json!(120_000))
    );
}

#[tokio::test]
async fn a_transaction_that_is_open_for_long_is_shown_with_its_process() {
    let database = Database::create().await;
    let config = format!("{}\n[database]\nlong_transaction_after = \"2s\"\n", probe::CONFIG);
    let node = probe_on(&database).file("forge.toml", config).start().await;
    let mut connection = database.connect().await;
    for sql in ["set application_name = 'a report'", "begin isolation level repeatable read", "select 1"] {
        connection.execute(sql).await.expect("a snapshot");
    }
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.expect("its pid");
    let figure = format!("transaction of pid {pid} (a report) open");
    let overview = || async {
        node.call("forge.overview", json!({}), Some(&probe::admin_token())).await.data().to_string()
    };
    until("the overview shows it", PATIENCE, || async { overview().await.contains(&figure).then_some(()) })
        .await;
    assert!(metric(&node, "forge_database_oldest_transaction_seconds").await > 2.0);
    assert_eq!(metric(&node, "forge_database_writable").await, 1.0);
    connection.execute("commit").await.expect("its end");
    until("it is no longer shown", PATIENCE, || async {
        (!overview().await.contains(&figure)).then_some(())
    })
    .await;
    let ended = node.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    let line = "long-running transaction";
    let named = ended.stderr.lines().filter(|found| found.contains(line) && found.contains("a report"));
    assert_eq!(named.count(), 1, "{}", ended.stderr);
}
