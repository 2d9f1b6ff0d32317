//! Tables that were changed behind the models' back: the node warns of each difference and serves.

use std::process::Command;

use forge_tests::{Binary, Database, Node, Process};
use serde_json::Value;

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

/// Statement triggers, which capture changes, do not fire for what a subscription applies.
#[tokio::test]
async fn doctor_names_the_live_tables_that_are_replicated() {
    let database = Database::create().await;
    let start = || Node::builder(Binary::Forge).database(&database);
    assert_eq!(start().start().await.stop(PATIENCE).await.code(), 0);
    let doctor = async || {
        let folder = tempfile::tempdir().expect("make a directory");
        let file = format!("[database]\nurl = \"{}\"\n", database.url());
        std::fs::write(folder.path().join("forge.toml"), file).expect("write the configuration");
        let mut command = Command::new(Binary::Forge.path());
        let mut process = Process::spawn(command.args(["doctor", "--json"]).current_dir(folder.path()));
        let ended = process.ended(PATIENCE).await;
        let findings: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}:\n{}{}", ended.stdout, ended.stderr));
        let texts = findings.as_array().expect("findings").iter().map(|finding| finding["text"].to_string());
        texts.filter(|text| text.contains("subscription")).collect::<Vec<_>>()
    };
    assert_eq!(doctor().await, Vec::<String>::new());

    database.execute("create table plain (id int primary key)").await;
    database
        .execute("create subscription copies connection 'host=localhost' publication all_tables with (connect = false)")
        .await;
    // As `alter subscription … refresh publication` writes them when the publisher answers.
    database
        .execute(
            "insert into pg_subscription_rel (srsubid, srrelid, srsubstate)
             select oid, relation, 'r' from pg_subscription, unnest(array['tasks', 'plain']::regclass[]) as relation
             where subname = 'copies'",
        )
        .await;
    let found = doctor().await;
    database.execute("alter subscription copies set (slot_name = none)").await;
    database.execute("drop subscription copies").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`tasks`"), "{found:?}");
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
    let warning = ended.stderr.lines().find(|line| line.contains("applied by a newer version"));
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
