//! Tables of models are captured once a node has started, unless the configuration or the model says otherwise.

use forge_tests::{Binary, Database, Node, Process};

use super::stage::PATIENCE;

async fn captured(database: &Database) -> Vec<String> {
    database.column("select relname::text from pg_class where relkind = 'r' and forge_capture_of(oid) is not null order by relname").await
}

const MODELS: [&str; 5] = ["memberships", "notices", "projects", "tasks", "users"];

#[tokio::test]
async fn a_start_captures_models_and_nothing_of_its_own() {
    let database = Database::create().await;
    let nodes = futures::future::join_all((0..3).map(|_| Node::builder(Binary::Forge).database(&database).start())).await;
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
    let quiet = Node::builder(Binary::Forge).database(&database).environment("FORGE_CAPTURE__DEFAULT", "false").start().await;
    assert_eq!(captured(&database).await, [""; 0]);
    assert_eq!(quiet.stop(PATIENCE).await.code(), 0);
    let mut migrate = std::process::Command::new(Binary::Forge.path());
    let migrated = Process::spawn(migrate.args(["migrate", "--database-url", database.url(), "up"])).ended(PATIENCE).await;
    assert_eq!(migrated.code(), 0, "{}", migrated.stderr);
    assert!(migrated.stderr.contains("switched on the capture of changes of tasks"), "{}", migrated.stderr);
    assert_eq!(captured(&database).await, MODELS);
}
