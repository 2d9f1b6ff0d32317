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

    database.execute("alter table users alter column name set not null").await;
    database.execute("alter type task_status add value 'archived'").await;
    let ended = start().await.stop(PATIENCE).await;
    let warnings: Vec<_> =
        ended.stderr.lines().filter(|line| line.contains("model does not match its table")).collect();
    assert_eq!(warnings.len(), 1, "one line a difference:\n{}", ended.stderr);
    for word in ["`Status`", "`task_status`", "`archived`"] {
        assert!(warnings[0].contains(word), "the warning lacks `{word}`: {}", warnings[0]);
    }
}

/// As a rollback, or a restart in the middle of a deploy, finds the schema.
#[tokio::test]
async fn a_node_starts_on_a_newer_schema_and_says_so() {
    let database = Database::create().await;
    let start = || Node::builder(Binary::Forge).database(&database);
    assert_eq!(start().start().await.stop(PATIENCE).await.code(), 0);
    let newer = |breaking: bool| {
        format!(
            "insert into forge_migrations (set_name, number, name, checksum, execution_ms, node, breaking)
             select set_name, max(number) + 1, 'add_more', repeat('0', 64), 1, 'newer', {breaking}
             from forge_migrations where set_name not like 'forge%' group by set_name"
        )
    };
    database.execute(&newer(false)).await;
    let ended = start().start().await.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let warning = ended.stderr.lines().find(|line| line.contains("newer than this binary"));
    assert!(
        warning.is_some_and(|line| line.contains("WARN") && line.contains("add_more")),
        "{}",
        ended.stderr
    );

    database.execute(&newer(true)).await;
    let (mut process, _home) = start().launch();
    let refused = process.ended(PATIENCE).await;
    assert_ne!(refused.code(), 0);
    for word in ["add_more", "@breaking", "start the version"] {
        assert!(refused.stderr.contains(word), "the error lacks `{word}`:\n{}", refused.stderr);
    }
}
