//! What a node stores of strangers' texts and of secrets, as the operator's terminal shows it.

use std::process::Command;

use forge_actors::kernel::printable::is_obeyed;
use forge_tests::{Binary, Database, Ended, Node, Process, probe, until};
use serde_json::{Value, json};

use super::stage::{PATIENCE, probe_on};

/// Clears the screen, colours through a C1 control, turns text around, forges a line.
const HOSTILE: &str = "ana\u{1b}[2J\u{9b}31m\u{202e}\r\nERROR forged";

/// A node on which a stranger's job has failed with a text of his choice, and the id of the job.
async fn node_with_a_failed_job(database: &Database) -> (Node, String) {
    let node = probe_on(database).start().await;
    let reply = node
        .call("jobs.enqueue_one", json!({ "kind": "divulge", "key": HOSTILE }), Some(&probe::token(HOSTILE)))
        .await;
    let id = reply.data().as_str().unwrap_or_else(|| panic!("no id: {}", reply.text)).to_owned();
    let failed = "select count(*) from forge_job_history where status = 'dead_letter'";
    until("the job has failed", PATIENCE, || async {
        (database.value::<i64>(failed).await == 1).then_some(())
    })
    .await;
    (node, id)
}

async fn ask(node: &Node, arguments: &[&str]) -> Ended {
    let mut command = Command::new(Binary::Forge.path());
    let admin = probe::admin_token();
    command.args(arguments).args(["--url", node.client().base(), "--token", &admin, "--color", "never"]);
    let ended = Process::spawn(&mut command).ended(PATIENCE).await;
    assert_eq!(ended.code(), 0, "{arguments:?}: {}", ended.stderr);
    ended
}

fn obeyed(text: &str) -> Vec<char> {
    text.chars().filter(|c| is_obeyed(*c) && *c != '\n').collect()
}

#[tokio::test]
async fn strangers_texts_do_not_command_the_terminal() {
    let database = Database::create().await;
    let (mut node, id) = node_with_a_failed_job(&database).await;
    let call = json!({ "id": id }).to_string();
    let verbs: [&[&str]; 6] = [
        &["jobs", "ls"],
        &["jobs", "show", &id],
        &["call", "forge.job", &call],
        &["call", "forge.crashes", "{}"],
        &["actors"],
        &["cluster", "status"],
    ];
    for verb in verbs {
        let printed = ask(&node, verb).await.stdout;
        assert_eq!(obeyed(&printed), [' '; 0], "{verb:?}:\n{printed:?}");
        let json = ask(&node, &[verb, &["--json"]].concat()).await.stdout;
        assert_eq!(obeyed(&json), [' '; 0], "{verb:?}:\n{json:?}");
        serde_json::from_str::<Value>(&json).unwrap_or_else(|error| panic!("{verb:?}: {error}:\n{json}"));
    }
    let shown = ask(&node, &["jobs", "show", &id]).await.stdout;
    assert!(shown.contains(r"\u{1b}[2J") && shown.contains(r"\u{202e}"), "{shown}");
    assert!(!shown.lines().any(|line| line.starts_with("ERROR forged")), "a line is indented:\n{shown}");
    let json = ask(&node, &["jobs", "show", &id, "--json"]).await.stdout;
    let detail: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(detail["subject"], HOSTILE, "programs read what was written");
    let log = node.process().stderr().text();
    assert_eq!(obeyed(&log), [' '; 0], "{log:?}");
}

#[tokio::test]
async fn a_secret_argument_is_shown_nowhere() {
    let database = Database::create().await;
    let (mut node, id) = node_with_a_failed_job(&database).await;
    let call = json!({ "id": id }).to_string();
    let shown = ask(&node, &["jobs", "show", &id]).await.stdout;
    assert!(shown.contains(r#""code":"[redacted]""#), "{shown}");
    let mut texts = vec![shown];
    let verbs: [&[&str]; 4] = [
        &["jobs", "show", &id, "--json"],
        &["call", "forge.job", &call],
        &["call", "forge.crashes", "{}"],
        &["jobs", "retry", &id],
    ];
    for verb in verbs {
        texts.push(ask(&node, verb).await.stdout);
    }
    texts.push(ask(&node, &["call", "forge.audit", "{}"]).await.stdout);
    texts.push(node.process().stderr().text());
    for text in texts {
        assert!(!text.contains(probe::jobs::CODE), "{text}");
    }
    let stored = "select count(*) > 0 from forge_crashes where cause like '%[redacted] (at %'";
    until("the crash is stored", PATIENCE, || async { database.value::<bool>(stored).await.then_some(()) })
        .await;
}
