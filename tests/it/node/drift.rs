//! Tables that were changed behind the models' back: the node warns of each difference and serves.

use forge_tests::{Binary, Database, Node};

use super::stage::PATIENCE;

#[tokio::test]
async fn differences_between_models_and_tables_are_warnings() {
    let database = Database::create().await;
    let start = || Node::builder(Binary::Forge).database(&database).start();
    let mut node = start().await;
    assert_eq!(node.process().stderr().line("model does not match its table"), None);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);

    database.execute("alter table users alter column name drop not null").await;
    let ended = start().await.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let warnings: Vec<_> =
        ended.stderr.lines().filter(|line| line.contains("model does not match its table")).collect();
    assert_eq!(warnings.len(), 1, "one line a difference:\n{}", ended.stderr);
    for word in ["WARN", "`User.name`", "SET NOT NULL"] {
        assert!(warnings[0].contains(word), "the warning lacks `{word}`: {}", warnings[0]);
    }
}
