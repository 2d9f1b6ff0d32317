//! What an operator begins from the command line: runs, whose end he waits for, and events; and how he names
//! runs.

use std::process::Command;

use forge_tests::{Binary, Database, Node, Process, probe};
use serde_json::{Value, json};

use super::jobs::worker_on;
use super::stage::PATIENCE;
use super::workflow_audit::await_count;
use super::workflow_operations::{RUNS, command, json_of, run, workflows};

fn id_of(answer: &Value) -> String {
    answer["run"]["id"].as_str().unwrap_or_else(|| panic!("no run: {answer}")).to_owned()
}

/// Runs `workflows` with these arguments, which must end with this code and say these words somewhere.
async fn ends(node: &Node, arguments: &[&str], code: i32, words: &[&str]) {
    let ended = workflows(node, arguments).await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code(), code, "{arguments:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?}: no `{word}`: {said}"));
}

#[tokio::test]
async fn runs_are_started_from_the_shell_and_their_ends_are_awaited() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    ends(&node, &["start"], 0, &["flows.saga", "{steps: whole number, failsAt:", "flows.waiter"]).await;
    let listed = json_of(&node, &["start"]).await;
    let names = listed.as_array().expect("a list").iter().filter_map(|found| found["name"].as_str());
    assert!(names.clone().any(|name| name == "flows.chain") && names.clone().is_sorted(), "{listed}");

    let ran =
        json_of(&node, &["start", "flows.saga", r#"{"steps": 2, "failsAt": 0, "ms": 0}"#, "--wait"]).await;
    assert_eq!((&ran["run"]["status"], &ran["output"]), (&json!("completed"), &json!("2")));
    assert_eq!(ran["subject"], json!("admin"), "it has the identity of the operator");
    let failing = ["start", "flows.saga", r#"{"steps": 2, "failsAt": 1, "ms": 0}"#, "--wait"];
    ends(&node, &failing, 9, &["run-not-completed", "is failed", "the saga fails, as asked"]).await;
    let chain = ["start", "flows.chain", r#"{"key": "k", "left": 2}"#, "--wait"];
    ends(&node, &chain, 0, &["goes on as", "continues", "completed"]).await;

    let waiting = ["start", "flows.listener", "--wait", "--timeout", "300ms"];
    ends(&node, &waiting, 8, &["run-timeout", "after 300ms: it has not ended"]).await;
    let listener = json_of(&node, &["ls", "--workflow", "flows.listener"]).await["rows"][0].clone();
    let listener = listener["id"].as_str().expect("a run").to_owned();
    ends(&node, &["cancel", &listener, "--reason", "no use"], 0, &["compensates what it has completed"])
        .await;
    let cancelled = "CANCELLED: the run was cancelled by admin: no use";
    ends(&node, &["show", &listener, "--wait", "--timeout", "30s"], 9, &["is cancelled", cancelled]).await;

    let folder = tempfile::tempdir().expect("make a directory");
    let file = folder.path().join("args.json");
    std::fs::write(&file, r#"{"steps": 1, "failsAt": 0, "ms": 0}"#).expect("write the arguments");
    let from_file = ["start", "flows.saga", "--args-file", file.to_str().expect("a path"), "--wait"];
    ends(&node, &from_file, 0, &["completed"]).await;
    let mut shell = Command::new("sh");
    let line = r#"echo '{"steps": 1, "failsAt": 0, "ms": 0}' | "$0" workflows start flows.saga - --wait --url "$1" --token "$2""#;
    shell.args(["-c", line]).arg(Binary::Forge.path()).args([node.client().base(), &probe::admin_token()]);
    let piped = Process::spawn(&mut shell).ended(PATIENCE).await;
    assert_eq!(piped.code(), 0, "{}", piped.stderr);

    for (arguments, code, word) in [
        (&["start", "flows.sga"][..], 1, "did you mean `flows.saga`?"),
        (&["start", "flows.saga", "{}"], 1, "`steps` is required"),
        (&["start", "flows.saga", "{"], 2, "not a JSON object"),
        (&["start", "flows.saga", "[]"], 2, "no object"),
        (&["start", "flows.saga", "--args-file", "/nowhere"], 2, "args-file"),
        (&["start", "flows.listener", "--version", "7"], 1, "no version 7"),
        (&["start", "flows.listener", "--key", "user-7"], 2, "a text has quotes"),
        (&["start", "flows.listener", "--on-conflict", "fail"], 2, "--key"),
        (
            &["start", "flows.listener", "--key", "7", "--on-conflict", "keep"],
            2,
            "return-running, fail, replace",
        ),
        (&["start", "flows.listener", "--timeout", "5m"], 2, "--wait"),
        (&["start", "flows.listener", "--after", "soon"], 2, "soon"),
        (&["show", "0193a5b0-0000-7000-8000-000000000000", "--wait"], 6, "there is no run"),
    ] {
        ends(&node, arguments, code, &[word]).await;
    }
}

#[tokio::test]
async fn a_start_with_an_id_finds_its_run_and_an_event_wakes_it() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let waiter = ["start", "flows.waiter", r#"{"bell": 5, "limitMs": 600000, "beforeMs": 0}"#];
    let keyed =
        ["--key", r#"["bell", 5]"#, "--attribute", "plan=gold", "--version", "1", "--reason", "a test"];
    let first = json_of(&node, &[&waiter[..], &keyed[..]].concat()).await;
    assert_eq!(first["isNew"], json!(true));
    ends(&node, &[&waiter[..], &keyed[..]].concat(), 0, &["nothing was started"]).await;
    let conflict = ["--on-conflict", "fail"];
    ends(&node, &[&waiter[..], &keyed[..], &conflict[..]].concat(), 1, &["names the run"]).await;
    let found = json_of(&node, &["ls", "--attribute", "plan=gold", "--key", r#"["bell",5]"#]).await;
    assert_eq!(found["rows"][0]["id"], first["run"]["id"]);
    let later = [&waiter[..], &["--after", "2h"]].concat();
    ends(&node, &later, 0, &["ready", "begins in 2h"]).await;

    let waits = "forge_workflow_steps where event = 'flows.rung' and event_key = '5' and status = 'waiting'";
    await_count(&database, waits, 1, PATIENCE).await;
    let ring = ["emit", "flows.rung", "5", r#"{"bell": 5, "n": 1}"#, "--once", "rung"];
    ends(&node, &ring, 0, &["the event is emitted; 1 run waits for it now"]).await;
    ends(&node, &ring, 0, &["nothing was emitted"]).await;
    let shown = json_of(&node, &["show", &id_of(&first), "--wait"]).await;
    assert_eq!((&shown["run"]["status"], &shown["output"]), (&json!("completed"), &json!("true")));
    let nobody = json_of(&node, &["emit", "flows.rung", "6", r#"{"bell": 6, "n": 1}"#]).await;
    assert_eq!((&nobody["isNew"], &nobody["waiting"]["count"]), (&json!(true), &json!(0)));
    for (arguments, code, word) in [
        (&["emit", "flows.rung", "bell-5", "{}"][..], 2, "the key is no JSON"),
        (&["emit", "flows.rung", "5", "{"], 2, "the payload is no JSON"),
        (&["emit", "forge.run", "5", "{}"], 1, "does not begin with `forge.`"),
    ] {
        ends(&node, arguments, code, &[word]).await;
    }
    let audit = "select string_agg(action || ' ' || outcome::text, ', ' order by at) from forge_audit";
    let expected = "startWorkflow done, startWorkflow done, startWorkflow done, emitEvent done, emitEvent done, emitEvent done";
    assert_eq!(database.value::<String>(audit).await, expected);
}

#[tokio::test]
async fn a_run_is_named_by_the_first_digits_of_its_id() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database.execute(RUNS).await;
    let other = "insert into forge_workflow_runs (id, workflow, version, status, due_at, input)
                 values ('0191aaaa-0000-7000-8000-000000000000', 'gone.flow', 1, 'waiting', 'infinity', '{}')";
    database.execute(other).await;

    let whole = "0191aaaa-0000-7000-8000-000000000000";
    for digits in ["0191aa", "0191AAAA", "0191aaaa-0000-7", whole] {
        assert_eq!(id_of(&json_of(&node, &["show", digits]).await), whole, "{digits}");
    }
    assert_eq!(json_of(&node, &["history", "0191aa"]).await["run"]["id"], json!(whole));
    assert_eq!(json_of(&node, &["pause", "0191aa"]).await["run"]["status"], json!("paused"));
    assert_eq!(json_of(&node, &["cancel", "0191aa"]).await["run"]["request"], json!("cancel"));

    // Runs that have ended count too.
    let several = workflows(&node, &["terminate", "0190000000007000800000000000000"]).await;
    assert_eq!(several.code(), 2, "{}", several.stderr);
    for word in ["ambiguous-run", &run(1), &run(4), "diverged", "failed", "more of its digits"] {
        assert!(several.stderr.contains(word), "no `{word}`: {}", several.stderr);
    }
    assert!(!several.stderr.contains(whole), "{}", several.stderr);
    ends(&node, &["show", "0191ab"], 6, &["no run whose id begins with 0191ab"]).await;
    ends(&node, &["show", "0191a"], 2, &["6 or more of its first digits"]).await;
    let terminated = "select count(*) from forge_workflow_history where status = 'terminated'";
    assert_eq!(database.value::<i64>(terminated).await, 0);
}

#[tokio::test]
async fn a_list_in_a_pipe_is_as_wide_as_the_variable_says() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database.execute(RUNS).await;
    let lines = async |columns: Option<&str>| {
        let mut command = command(&node, &["ls", "--status", "diverged"]);
        columns.map(|columns| command.env("COLUMNS", columns));
        let ended = Process::spawn(&mut command).ended(PATIENCE).await;
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        ended.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let narrow = lines(None).await;
    assert!(narrow.len() > 3 && narrow.iter().all(|line| line.chars().count() <= 80), "{narrow:#?}");
    let wide = lines(Some("200")).await;
    assert_eq!(wide.len(), 2, "{wide:#?}");
    assert_eq!(lines(Some("wide")).await, narrow);
}
