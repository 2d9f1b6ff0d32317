//! The verbs beside `start`, as a person types them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use forge_actors::subsystem::READINESS_NOTE;
use forge_actors::tree::SUBSYSTEMS;
use forge_tests::{Binary, Database, Ended, Node, Process, probe, until};
use serde_json::{Value, json};

use super::stage::{PATIENCE, probe_on};

#[tokio::test]
async fn the_tree_of_a_running_node_is_printed() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let admin = probe::admin_token();
    let printed = ask(&node, "actors", &["--color", "never", "--token", &admin]).await;
    assert_eq!(printed.code(), 0, "{}", printed.stderr);
    for word in ["database", "functions", "gateway", "running", "one_for_one 5 left", "crash_expiry"] {
        assert!(printed.stdout.contains(word), "the tree lacks `{word}`:\n{}", printed.stdout);
    }
    let printed = ask(&node, "actors", &["--json", "--token", &admin]).await;
    let tree: Value =
        serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", printed.stdout));
    let paths: Vec<_> =
        tree["actors"].as_array().into_iter().flatten().filter_map(|actor| actor["path"].as_str()).collect();
    assert!(paths.contains(&"node/gateway/listener"), "{paths:?}");
    let children: Vec<_> = paths.iter().filter(|path| path.matches('/').count() == 1).copied().collect();
    let subsystems = SUBSYSTEMS.iter().map(|entry| &entry.root).chain([&READINESS_NOTE]);
    let subsystems: Vec<_> = subsystems.map(|note| note.path.to_string()).collect();
    assert_eq!(children, subsystems, "in start order");
    for token in ["not.a.token", &probe::token("ana")] {
        let refused = ask(&node, "actors", &["--token", token]).await;
        assert_eq!(refused.code(), 7, "{}", refused.stderr);
    }
}

#[tokio::test]
async fn leaders_and_their_history_are_printed() {
    let database = Database::create().await;
    let node = probe_on(&database).arguments(["--name", "first"]).start().await;
    await_leader(&database, "first").await;
    node.stop(PATIENCE).await;
    let node = probe_on(&database).arguments(["--name", "second"]).start().await;
    await_leader(&database, "second").await;
    // A leadership whose only candidate was lost.
    database
        .execute(
            "insert into forge_leaders (name, epoch, node_id, node_name, elected_at, renewed_at)
             values ('exports', 4, gen_random_uuid(), 'gone', now() - interval '1 h', now() - interval '12 min')",
        )
        .await;
    let admin = probe::admin_token();
    let printed = ask_cluster(&node, "leaders", &["--color", "never", "--token", &admin]).await;
    assert_eq!(printed.code(), 0, "{}", printed.stderr);
    let line = |words: &[&str]| {
        printed.stdout.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().starts_with(words))
    };
    assert!(line(&["maintenance", "second", "leads", "2"]), "{}", printed.stdout);
    assert!(line(&["exports", "gone", "no", "leader", "4", "1h", "ago", "12m", "ago"]), "{}", printed.stdout);
    assert!(line(&["maintenance", "first", "resigned", "1"]), "{}", printed.stdout);

    let printed = ask_cluster(&node, "status", &["--color", "never", "--token", &admin]).await;
    for word in ["second  active", "no leader"] {
        assert!(printed.stdout.contains(word), "no `{word}`:\n{}", printed.stdout);
    }
    let json = async |step: &str| -> Value {
        let printed = ask_cluster(&node, step, &["--json", "--token", &admin]).await;
        serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", printed.stdout))
    };
    let (status, leaders) = (json("status").await, json("leaders").await);
    assert!(
        status["nodes"].as_array().into_iter().flatten().any(|node| node["name"] == "second"),
        "{status:#}"
    );
    for leaders in [&status, &leaders] {
        let exports =
            leaders["leaders"].as_array().into_iter().flatten().find(|row| row["name"] == "exports");
        assert_eq!(exports.map(|row| &row["state"]), Some(&json!("expired")), "{leaders:#}");
    }
    assert_eq!(leaders["ended"][0]["reason"], "resigned");
    let refused = ask_cluster(&node, "leaders", &["--token", &probe::token("ana")]).await;
    assert_eq!(refused.code(), 7, "{}", refused.stderr);
}

/// Waits until `name` leads `maintenance`, which every node stands for.
async fn await_leader(database: &Database, name: &str) {
    let led = format!(
        "select exists(select from forge_leaders
         where name = 'maintenance' and node_name = '{name}' and resigned_at is null)"
    );
    until(&format!("{name} leads"), PATIENCE, || async { database.value::<bool>(&led).await.then_some(()) })
        .await;
}

#[tokio::test]
async fn nobody_watches_for_a_reader_that_has_left() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let mut watch = Command::new(Binary::Forge.path());
    watch
        .args([
            "actors",
            "--watch",
            "--json",
            "--url",
            node.client().base(),
            "--token",
            &probe::admin_token(),
        ])
        .stdout(Stdio::piped());
    let mut watch = watch.spawn().expect("start the program");
    let mut line = String::new();
    let stdout = watch.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a picture");
    assert!(line.contains("node/gateway/listener"), "{line}");
    let status = until("the watch has ended", PATIENCE, || {
        let status = watch.try_wait().expect("wait for the child");
        async move { status }
    });
    assert!(status.await.success());
}

#[tokio::test]
async fn output_that_cannot_be_written_is_a_failure() {
    for arguments in [&["schema"][..], &["functions", "--json"]] {
        let folder = tempfile::tempdir().expect("make a directory");
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
        let mut command = Command::new(Binary::Probe.path());
        command.current_dir(folder.path()).args(arguments).stdout(full);
        let ended = command.output().expect("run the program");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("the output could not be written"), "{said}");
    }
}

#[tokio::test]
async fn a_function_is_called_from_the_shell() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    database.execute("insert into probe_rows values (7, 'seven', true)").await;
    let token = probe::token("ana");
    let answered = ask(&node, "call", &["probe.one", r#"{"id": 7}"#, "--token", &token, "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&answered.stdout).ok(),
        Some(json!({ "id": 7, "title": "seven", "done": true }))
    );
    for (arguments, code, word) in [
        (&["probe.nothing", "{}", "--token", &token][..], 6, "NOT_FOUND"),
        (&["probe.one", r#"{"id": 7}"#][..], 7, "UNAUTHENTICATED"),
        (&["probe.one", "[7]", "--token", &token][..], 2, "object"),
        (&["probe.one", r#"{"id": "x"}"#, "--token", &token][..], 1, "VALIDATION"),
    ] {
        let refused = ask(&node, "call", arguments).await;
        assert_eq!(refused.code(), code, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(word), "{arguments:?}: {}", refused.stderr);
    }
}

#[tokio::test]
async fn migrations_go_up_and_down_and_say_where_they_are() {
    let database = Database::create().await;
    let exists = || database.value::<bool>("select to_regclass('probe_ledger') is not null");
    let dry = migrate(&database, &["up", "--dry-run"]).await;
    assert!(dry.stdout.contains("create table probe_ledger"), "{}{}", dry.stdout, dry.stderr);
    assert!(!exists().await, "a dry run changes nothing");
    assert_eq!(migrate(&database, &["up"]).await.code(), 0);
    assert!(exists().await);
    let status = migrate(&database, &["status"]).await;
    assert!(
        status.stdout.contains("0001_create_probe") && status.stdout.contains("applied"),
        "{}{}",
        status.stdout,
        status.stderr
    );
    assert_eq!(migrate(&database, &["down", "--to", "0"]).await.code(), 0);
    assert!(!exists().await);
    assert!(migrate(&database, &["status"]).await.stdout.contains("pending"));
}

#[tokio::test]
async fn what_is_no_url_is_a_usage_error() {
    for (url, word) in [("notaurl", "bad-url"), ("ftp://127.0.0.1", "ftp://"), ("http://", "bad-url")] {
        for verb in [&["call", "probe.one"][..], &["actors"]] {
            let refused = run(Binary::Forge, &[verb, &["--url", url]].concat()).await;
            assert_eq!(refused.code(), 2, "{url}: {}", refused.stderr);
            assert!(refused.stderr.contains(word), "{url}: {}", refused.stderr);
        }
    }
}

#[tokio::test]
async fn a_command_does_not_wait_long_for_a_database() {
    for step in ["status", "up", "down"] {
        let asked = Instant::now();
        let refused =
            run(Binary::Probe, &["migrate", step, "--database-url", "postgres://ana@127.0.0.1:1/shop"]).await;
        assert_eq!(refused.code(), 4, "{step}: {}", refused.stderr);
        assert!(refused.stderr.contains("database-unreachable"), "{step}: {}", refused.stderr);
        assert!(asked.elapsed() < Duration::from_secs(10), "{step} waited {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let printed = run(Binary::Forge, &["completions", shell]).await;
        assert_eq!(printed.code(), 0, "{}", printed.stderr);
        assert!(
            printed.stdout.contains("migrate") && printed.stdout.contains("actors"),
            "{shell}:\n{}",
            printed.stdout
        );
    }
}

#[tokio::test]
async fn an_unknown_verb_is_a_usage_error() {
    let refused = run(Binary::Forge, &["strat"]).await;
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("start"), "the error names the verb that was meant:\n{}", refused.stderr);
}

#[tokio::test]
async fn a_link_is_printed_for_a_node_that_accepts_it_alone() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let base = node.client().base();
    let folder = tempfile::tempdir().expect("make a directory");
    let dashboard = async |url: &str, secret: &str| {
        let mut command = Command::new(Binary::Forge.path());
        command.current_dir(folder.path()).env("FORGE_AUTH__SECRET", secret);
        Process::spawn(command.args(["dashboard", "--json", "--url", url])).ended(PATIENCE).await
    };
    let refused = async |url: &str, secret: &str| {
        let ended = dashboard(url, secret).await;
        let report: Value =
            serde_json::from_str(&ended.stderr).unwrap_or_else(|_| panic!("{}", ended.stderr));
        (ended.code(), report["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let printed = dashboard(&format!("{base}/"), probe::SECRET).await;
    assert!(printed.code() == 0 && printed.stdout.contains("/_dashboard/?code="), "{}", printed.stderr);
    let foreign = "1f8e6b40d7c3495ea2b90c54f6713d8a";
    assert_eq!(refused(base, foreign).await, (7, "foreign-secret".to_owned()));
    for part in ["/?x=1", "/#top", "/some/path"] {
        assert_eq!(
            refused(&format!("{base}{part}"), probe::SECRET).await,
            (2, "bad-url".to_owned()),
            "{part}"
        );
    }
}

#[tokio::test]
async fn a_wrong_line_is_a_report_in_json() {
    for (line, help) in
        [(["functoins", "--json"].as_slice(), "functions"), (&["jobs", "show", "nope", "--json"], "--help")]
    {
        let ended = run(Binary::Forge, line).await;
        assert_eq!(ended.code(), 2, "{}", ended.stderr);
        let report: Value =
            serde_json::from_str(&ended.stderr).unwrap_or_else(|_| panic!("{}", ended.stderr));
        assert!(report["error"]["help"].as_str().is_some_and(|said| said.contains(help)), "{report}");
    }
}

async fn ask(node: &Node, verb: &str, arguments: &[&str]) -> Ended {
    run(Binary::Forge, &[&[verb, "--url", node.client().base()], arguments].concat()).await
}

async fn ask_cluster(node: &Node, step: &str, arguments: &[&str]) -> Ended {
    run(Binary::Forge, &[&["cluster", step, "--url", node.client().base()], arguments].concat()).await
}

async fn migrate(database: &Database, arguments: &[&str]) -> Ended {
    run(
        Binary::Probe,
        &[&["migrate", "--database-url", database.url(), "--color", "never"], arguments].concat(),
    )
    .await
}

async fn run(binary: Binary, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().expect("make a directory");
    let mut command = Command::new(binary.path());
    command.current_dir(folder.path()).args(arguments);
    Process::spawn(&mut command).ended(PATIENCE).await
}
