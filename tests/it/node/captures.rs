//! Tables of models are captured once a node has started, unless the configuration or the model says
//! otherwise, and so is the progress of jobs.

use std::time::Instant;

use forge_tests::{Binary, Database, Node, Process, Socket, until};
use serde_json::json;

use super::stage::PATIENCE;

/// The captured tables of the application. Of Forge's own, a migration captures the progress of jobs.
async fn captured(database: &Database) -> Vec<String> {
    database.column("select relname::text from pg_class where relkind = 'r' and forge_capture_of(oid) is not null order by relname").await
}

/// The models of the demo, after the tables of Forge's own that live queries read.
const MODELS: [&str; 9] = [
    "forge_job_progress",
    "forge_workflow_progress",
    "invitations",
    "mails",
    "memberships",
    "notices",
    "projects",
    "tasks",
    "users",
];

#[tokio::test]
async fn a_start_captures_models_and_the_progress_of_jobs() {
    let database = Database::create().await;
    let nodes =
        futures::future::join_all((0..3).map(|_| Node::builder(Binary::Forge).database(&database).start()))
            .await;
    assert_eq!(captured(&database).await, MODELS);
    let definitions = || database.value::<i64>("select count(*) from forge_changes where op = 'X'");
    let before = definitions().await;
    for node in nodes {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
    let node = Node::builder(Binary::Forge).database(&database).start().await;
    assert_eq!(definitions().await, before, "a start that finds nothing to do tells nobody");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn what_is_not_asked_for_is_left_alone_and_migrate_captures_too() {
    let database = Database::create().await;
    let quiet = Node::builder(Binary::Forge)
        .database(&database)
        .environment("FORGE_CAPTURE__DEFAULT", "false")
        .start()
        .await;
    assert_eq!(captured(&database).await, MODELS[..2]);
    assert_eq!(quiet.stop(PATIENCE).await.code(), 0);
    let mut migrate = std::process::Command::new(Binary::Forge.path());
    let migrated = Process::spawn(migrate.args(["migrate", "--database-url", database.url(), "up"]))
        .ended(PATIENCE)
        .await;
    assert_eq!(migrated.code(), 0, "{}", migrated.stderr);
    assert!(migrated.stderr.contains("enabled change capture for tasks"), "{}", migrated.stderr);
    assert_eq!(captured(&database).await, MODELS);
}

#[tokio::test]
async fn captures_that_are_lost_while_a_node_runs_come_back() {
    let database = Database::create().await;
    let node = Node::builder(Binary::Forge).database(&database).start().await;
    let ana = json!({ "email": "ana@example.com", "name": "Ana", "password": "correct horse battery" });
    let token =
        node.call("users.sign_up", ana, None).await.data()["token"].as_str().expect("a token").to_owned();
    // With a live query the node reads changes, and with them of changed definitions.
    let (mut socket, _) = Socket::hello(node.client().base(), Some(&token)).await;
    socket.subscribe(1, "projects.list", json!({})).await;
    socket.frame_of("transition").await;
    let began = Instant::now();
    for loss in [
        "alter table tasks disable trigger all; alter table tasks enable trigger all",
        "create table notices_new (like notices including all); drop table notices; alter table notices_new rename to notices",
        // As when a migration of another version creates it.
        "drop table notices",
        "create table notices (id uuid primary key)",
    ] {
        database.execute(loss).await;
        let expected: Vec<_> =
            MODELS.into_iter().filter(|model| !loss.starts_with("drop") || *model != "notices").collect();
        until("every model's table is captured", PATIENCE, || async {
            (captured(&database).await == expected).then_some(())
        })
        .await;
    }
    println!("all are captured again after {:?}", began.elapsed());
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
