//! What an operator does to jobs from the command line.

use forge_actors::test_signals::Step;
use forge_tests::{Binary, Database, Ended, Node, Process, Signal, Signals, probe, until};
use serde_json::{Value, json};

use super::jobs::{LONG, await_history, worker_on};
use super::stage::PATIENCE;

/// The secret argument of the probe's job `divulge`.
const SECRET: &str = "the code that nobody may see";

/// The job that the probe dispatches by this name.
async fn enqueue(node: &Node, kind: &str, key: &str) -> String {
    let arguments = json!({ "kind": kind, "key": key });
    let reply = node.call("jobs.enqueue_one", arguments, Some(&probe::token("ana"))).await;
    reply.data().as_str().unwrap_or_else(|| panic!("no id: {}", reply.text)).to_owned()
}

/// Runs `jobs` with these arguments.
async fn jobs(node: &Node, arguments: &[&str]) -> Ended {
    let mut command = std::process::Command::new(Binary::Forge.path());
    let token = probe::admin_token();
    let target = ["--url", node.client().base(), "--token", &token, "--color", "never"];
    command.arg("jobs").args(arguments).args(target);
    Process::spawn(&mut command).ended(PATIENCE).await
}

/// The same with `--json`, which must succeed.
async fn json_of(node: &Node, arguments: &[&str]) -> Value {
    let ended = jobs(node, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.code(), 0, "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

#[tokio::test]
async fn a_job_is_given_up_and_dispatched_anew_from_the_shell() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let dead = enqueue(&node, "explode", "a").await;
    await_history(&database, "dead_letter: 1", PATIENCE).await;
    let discarded = json_of(&node, &["discard", &dead]).await;
    assert_eq!(discarded["job"]["status"], "cancelled");
    let error = discarded["job"]["lastError"].as_str().unwrap_or_default();
    assert!(error.starts_with("discarded by admin: ") && error.contains("the probe panics"), "{error}");
    let refused = jobs(&node, &["discard", &dead]).await;
    assert_eq!(refused.code(), 1);
    assert!(
        refused.stderr.contains("CONFLICT") && refused.stderr.contains("cancelled already"),
        "{}",
        refused.stderr
    );

    let changes = ["--args", r#"{"key": "b"}"#, "--priority", "90", "--at", "2100-01-01T00:00:00Z"];
    let cloned = json_of(&node, &[&["clone", &dead][..], &changes[..]].concat()).await;
    let job = &cloned["job"];
    assert_eq!(
        (&job["status"], &job["priority"], &job["queue"]),
        (&json!("pending"), &json!(90), &json!("work"))
    );
    assert_eq!((&cloned["args"], &cloned["subject"]), (&json!(r#"{"key": "b"}"#), &json!("ana")));
    let waiting = job["id"].as_str().unwrap_or_default().to_owned();
    let replaced = json_of(&node, &["clone", &waiting, "--queue", "night", "--replace"]).await;
    assert_eq!(replaced["job"]["queue"], "night");
    await_history(&database, "cancelled: 2, dead_letter: 1", PATIENCE).await;

    let all: i64 = database.value("select count(*) from forge_job_history").await;
    for (arguments, code, word) in [
        (&["clone", &dead, "--args", r#"{"kee": "b"}"#][..], 1, "VALIDATION"),
        (&["clone", &dead, "--args", "{"], 1, "no JSON"),
        (&["clone", &dead, "--queue", "Night"], 1, "characters"),
        (&["clone", &dead, "--replace"], 1, "CONFLICT"),
        (&["clone", &dead, "--at", "tomorrow"], 2, "2030-01-31T09:00:00Z"),
        (&["clone", "0193a5b0-0000-7000-8000-000000000000"], 6, "NOT_FOUND"),
        (&["pause", "wrok"], 6, "work"),
        (&["limit", "work", "many"], 2, "none"),
    ] {
        let refused = jobs(&node, arguments).await;
        assert_eq!(refused.code(), code, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(word), "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(database.value::<i64>("select count(*) from forge_job_history").await, all);
    assert_eq!(database.value::<i64>("select count(*) from forge_unfinished_jobs").await, 0);
    let audited: Vec<String> =
        database.column("select action || ' ' || outcome from forge_audit order by at").await;
    assert_eq!(audited, ["discardJob done", "cloneJob done", "cloneJob done"], "what failed did not happen");
}

#[tokio::test]
async fn a_copy_of_a_job_has_the_secrets_that_nobody_sees() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let dead = enqueue(&node, "divulge", "a").await;
    await_history(&database, "dead_letter: 1", PATIENCE).await;
    let shown = jobs(&node, &["clone", &dead, "--args", r#"{"key": "b", "code": "[redacted]"}"#]).await;
    assert_eq!(shown.code(), 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("[redacted]") && !shown.stdout.contains(SECRET), "{}", shown.stdout);
    await_history(&database, "dead_letter: 2", PATIENCE).await;
    let stored = format!("select count(*) from forge_job_history where args ->> 'code' = '{SECRET}'");
    assert_eq!(database.value::<i64>(&stored).await, 2);
}

#[tokio::test]
async fn queues_are_listed_paused_limited_and_resumed_from_the_shell() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    for arguments in [&["pause", "work"][..], &["limit", "work", "2"]] {
        assert_eq!(jobs(&node, arguments).await.code(), 0, "{arguments:?}");
    }
    enqueue(&node, "explode", "a").await;
    let listed = until("the job is listed", PATIENCE, || async {
        let listed = jobs(&node, &["queues"]).await.stdout;
        let is_due = |line: &str| line.starts_with("work ") && line.split_whitespace().nth(1) == Some("1");
        listed.lines().any(is_due).then_some(listed)
    })
    .await;
    let words = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("by admin; 2 at a time"), "{listed}");
    let id = json_of(&node, &["ls", "--queue", "work"]).await["rows"][0]["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let why = jobs(&node, &["why", &id]).await.stdout;
    assert!(why.starts_with("Its queue `work` has been paused by admin since "), "{why}");
    let drawn = jobs(&node, &["ls", "--wait", "due", "--queue", "work"]).await.stdout;
    assert!(drawn.contains("jobs.explode (work), 0/2"), "{drawn}");
    for text in [&drawn, &jobs(&node, &["queues"]).await.stdout] {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "eighty columns:\n{text}");
    }
    for arguments in [&["limit", "work", "none"][..], &["resume", "work"]] {
        assert_eq!(jobs(&node, arguments).await.code(), 0, "{arguments:?}");
    }
    await_history(&database, "dead_letter: 1", PATIENCE).await;
}

/// Jobs that nobody can run, and that ended as dead letters.
fn dead_letters(count: u32) -> String {
    format!(
        "insert into forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at)
         select gen_random_uuid(), 'gone.job', 'work', 50, 'dead_letter', 3, 3, 3, json_build_object('n', n), 'broke', now()
         from generate_series(1, {count}) n"
    )
}

async fn audit(database: &Database) -> Vec<String> {
    database
        .column("select concat_ws(' ', action, target, outcome, error) from forge_audit order by at")
        .await
}

#[tokio::test]
async fn all_jobs_that_match_are_changed_over_a_kill_of_the_node() {
    let database = Database::create().await;
    let signals = Signals::new();
    let mut node = worker_on(&database, "lease = \"2s\"").signals(&signals).start().await;
    database.execute(&dead_letters(1_800)).await;
    let filter = ["--all", "--status", "dead_letter", "--queue", "work"];
    let counted = jobs(&node, &[&["retry"][..], &filter[..]].concat()).await;
    assert_eq!(counted.code(), 0, "{}", counted.stderr);
    assert!(
        counted.stdout.contains("1800 jobs match (1800 dead_letter); retry would change 1800"),
        "{}",
        counted.stdout
    );
    assert!(counted.stderr.contains("--yes does it"), "{}", counted.stderr);
    assert!(audit(&database).await.is_empty());

    let hold = signals.hold(Step::JobBatchChanged, "bulk");
    let ask = json!({ "action": "retry", "filter": { "statuses": ["dead_letter"], "queue": "work" }, "expected": 1800 });
    let started = node.call("forge.bulkJobs", ask, Some(&probe::admin_token())).await;
    let job = started.data()["job"]["id"].as_str().unwrap_or_else(|| panic!("{}", started.text)).to_owned();
    signals.reached(Step::JobBatchChanged, "bulk", 1).await;
    node.process().signal(Signal::KILL);
    drop(hold);
    let other = worker_on(&database, "lease = \"2s\"").start().await;
    let shown = until("the bulk has ended", LONG, || async {
        let shown = json_of(&other, &["show", &job]).await;
        (!shown["bulk"]["endedAt"].is_null()).then_some(shown)
    })
    .await;
    assert_eq!((&shown["bulk"]["done"], &shown["bulk"]["skipped"]), (&json!(1_800), &json!(0)), "{shown}");
    let result = until("its job has ended", PATIENCE, || async {
        json_of(&other, &["show", &job]).await["result"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(result, r#"{"done":1800,"skipped":0}"#);
    assert_eq!(
        database
            .value::<i64>("select count(*) from forge_jobs where name = 'gone.job' and attempt = 0")
            .await,
        1_800
    );
    assert_eq!(
        audit(&database).await,
        ["bulkJobs retry status=dead_letter queue=work (1800 jobs): 1800 done, 0 skipped done"]
    );
    await_history(&database, "completed: 1", PATIENCE).await;

    let discarded = jobs(&other, &["discard", "--all", "--handler", "gone.job", "--yes"]).await;
    assert_eq!(discarded.code(), 0, "{}", discarded.stderr);
    assert!(discarded.stdout.contains("discard handler=gone.job: 1800 of 1800 done"), "{}", discarded.stdout);
    await_history(&database, "cancelled: 1800, completed: 2", PATIENCE).await;
    let refused = jobs(&other, &["retry", &job, "--queue", "work"]).await;
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
}

#[tokio::test]
async fn a_bulk_is_stopped_between_two_batches() {
    let database = Database::create().await;
    let signals = Signals::new();
    let node = worker_on(&database, "").signals(&signals).start().await;
    database.execute(&dead_letters(1_800)).await;
    let hold = signals.hold(Step::JobBatchChanged, "bulk");
    let ask = json!({ "action": "discard", "filter": { "handler": "gone.job" } });
    let started = node.call("forge.bulkJobs", ask, Some(&probe::admin_token())).await;
    let job = started.data()["job"]["id"].as_str().unwrap_or_else(|| panic!("{}", started.text)).to_owned();
    signals.reached(Step::JobBatchChanged, "bulk", 1).await;
    let cancelled = json_of(&node, &["cancel", &job]).await;
    assert_eq!((&cancelled["job"]["status"], &cancelled["bulk"]["done"]), (&json!("cancelled"), &json!(500)));
    drop(hold);
    assert_eq!(
        audit(&database).await[..],
        [
            "bulkJobs discard handler=gone.job failed ended by admin: 500 done, 0 skipped".to_owned(),
            format!("cancelJob {job} done")
        ]
    );
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
    await_history(&database, "cancelled: 501, dead_letter: 1300", PATIENCE).await;
}
