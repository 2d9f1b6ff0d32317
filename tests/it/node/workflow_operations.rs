//! What an operator does to runs of workflows from the command line.

use std::process::Command;

use forge_tests::{Binary, Database, Ended, Node, Process, probe, until};
use serde_json::{Value, json};

use super::jobs::worker_on;
use super::stage::PATIENCE;
use super::workflow_audit::{flow, flow_node, start_sagas};

/// Runs of a workflow that no binary has code for, so that they stay as they are: one waits, one has
/// diverged, the compensation of one has failed, one has failed.
pub(super) const RUNS: &str = r#"
    insert into forge_workflow_runs (id, workflow, version, status, due_at, claim, ending, error, input)
    select ('01900000-0000-7000-8000-00000000000' || n)::uuid, 'gone.flow', 1, status::forge_workflow_status, 'infinity', 2,
           case status when 'compensation_failed' then 'failed'::forge_workflow_status end, error::json, '{"order": 7}'
    from (values (1, 'waiting', null), (2, 'diverged', '{"code": "CONFLICT", "message": "expected step 4 `crm`, found `mail`"}'),
                 (3, 'compensation_failed', '{"code": "REFUSED", "message": "no funds"}')) as run (n, status, error);
    insert into forge_workflow_history (id, workflow, version, status, claim, error, input, created_at, expires_at, followed, steps,
                                        journal_bytes)
    values ('01900000-0000-7000-8000-000000000004', 'gone.flow', 1, 'failed', 2, '{"code": "REFUSED", "message": "no funds"}', '{}',
            now() - interval '1 h', now() + interval '7 d', false, 1, 0);
    insert into forge_workflow_steps (run_id, position, kind, status, name, shape, number, error, started_at, finished_at, due_at,
                                      event, event_key)
    values ('01900000-0000-7000-8000-000000000001', '1', 'call', 'completed', 'account', 2, 1, null, now(), now(), null, null, null),
           ('01900000-0000-7000-8000-000000000001', '2', 'event', 'waiting', 'accounts.email_verified', 4, null, null,
            now() - interval '2 h', null, now() + interval '22 h 30 s', 'accounts.email_verified', '7'),
           ('01900000-0000-7000-8000-000000000003', '-1', 'compensation', 'retrying', 'account', 2, null,
            '{"code": "INTERNAL", "message": "no"}', now(), null, null, null, null),
           ('01900000-0000-7000-8000-000000000004', '1', 'call', 'failed', 'charge', 2, 1, '{"code": "REFUSED"}', now(), now(),
            null, null, null)
"#;

pub(super) fn run(n: u32) -> String {
    format!("01900000-0000-7000-8000-00000000000{n}")
}

/// Runs `workflows` with these arguments.
pub(super) async fn workflows(node: &Node, arguments: &[&str]) -> Ended {
    Process::spawn(&mut command(node, arguments)).ended(PATIENCE).await
}

/// The command that runs `workflows` with these arguments, in eighty columns.
pub(super) fn command(node: &Node, arguments: &[&str]) -> Command {
    let mut command = Command::new(Binary::Forge.path());
    let token = probe::admin_token();
    let target = ["--url", node.client().base(), "--token", &token, "--color", "never"];
    command.arg("workflows").args(arguments).args(target).env_remove("COLUMNS");
    command
}

/// The same with `--json`, which must succeed.
pub(super) async fn json_of(node: &Node, arguments: &[&str]) -> Value {
    let ended = workflows(node, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.code(), 0, "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

#[tokio::test]
async fn metrics_say_how_long_runs_wait_for_a_claim_how_many_there_are_and_how_attempts_end() {
    let database = Database::create().await;
    let node = flow_node(&database, "measured", "").start().await;
    database.execute(RUNS).await;
    start_sagas(&node, 3, 2, 0).await;
    flow(&node, "start_listeners", json!({ "count": 2 })).await;
    let has = async |line: &str| {
        until(line, PATIENCE, || async {
            let text = node.client().get("/metrics").await.ok()?.text;
            text.lines().any(|known| known == line).then_some(())
        })
        .await;
    };
    for line in [
        r#"forge_workflow_claim_delay_seconds_count{workflow="flows.saga"} 3"#,
        r#"forge_workflow_step_attempts_total{workflow="flows.saga",outcome="completed"} 6"#,
        r#"forge_workflow_runs_unfinished{status="waiting"} 3"#,
        r#"forge_workflow_runs_unfinished{status="diverged"} 1"#,
        r#"forge_workflow_runs_unfinished{status="compensation_failed"} 1"#,
        r#"forge_workflow_runs_unfinished{status="paused"} 0"#,
        "forge_workflow_activations 0",
    ] {
        has(line).await;
    }
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn runs_are_listed_shown_and_changed_from_the_shell() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database.execute(RUNS).await;

    let listed = workflows(&node, &["ls", "--status", "live", "--workflow", "gone.flow"]).await;
    assert_eq!(listed.code(), 0, "{}", listed.stderr);
    assert!(listed.stdout.contains("diverged") && !listed.stdout.contains(&run(4)), "{}", listed.stdout);
    let page = json_of(&node, &["ls", "--status", "failed", "--text", "funds"]).await;
    assert_eq!((&page["rows"][0]["id"], page["rows"].as_array().map(Vec::len)), (&json!(run(4)), Some(1)));

    let live = json_of(&node, &["ls", "--status", "live"]).await;
    assert_eq!(live["withoutCode"], json!([{ "workflow": "gone.flow", "version": 1 }]));
    assert_eq!(page["withoutCode"], json!([]));

    let shown = workflows(&node, &["show", &run(1)]).await;
    for words in
        ["waits for accounts.email_verified 7 since 2h, times out in 22h", "account", "call", "{\"order\":"]
    {
        assert!(shown.stdout.contains(words), "no `{words}`:\n{}{}", shown.stdout, shown.stderr);
    }
    let status = |answer: &Value| answer["run"]["status"].as_str().unwrap_or_default().to_owned();
    assert_eq!(status(&json_of(&node, &["pause", &run(1)]).await), "paused");
    assert_eq!(status(&json_of(&node, &["signal", &run(1), "a.b", r#"{"x": 1}"#]).await), "paused");
    assert_eq!(status(&json_of(&node, &["resume", &run(1)]).await), "ready");
    let cancelled = json_of(&node, &["cancel", &run(1)]).await;
    assert_eq!((status(&cancelled).as_str(), &cancelled["run"]["request"]), ("ready", &json!("cancel")));
    assert_eq!(status(&json_of(&node, &["retry", &run(2)]).await), "ready");
    let skipped = workflows(&node, &["skip", &run(3), "--reason", "paid back by hand"]).await;
    assert!(skipped.stdout.contains("the compensation of `account` is skipped"), "{}", skipped.stdout);
    let forked = json_of(&node, &["fork", &run(4), "--from-step", "charge"]).await;
    assert_eq!(status(&forked), "ready");
    assert_eq!(status(&json_of(&node, &["retry", &run(4), "--from-step", "1"]).await), "ready");
    let ended = json_of(&node, &["terminate", &run(4), "--reason", "a mistake"]).await;
    assert_eq!(ended["run"]["error"]["message"], "terminated by admin: a mistake");

    for (arguments, code, word) in [
        (&["pause", &run(4)][..], 1, "terminated already"),
        (&["resume", &run(1)], 1, "not paused"),
        (&["signal", &run(4), "a.b"], 1, "no signals"),
        (&["signal", &run(1), "a.b", "{"], 1, "no JSON"),
        (&["skip", &run(1), "--reason", "x"], 1, "no compensation"),
        (&["fork", &run(1), "--to-version", "9"], 1, "no version 9"),
        (&["retry", &run(4), "--from-step", "x"], 6, "no step `x`"),
        (&["show", "0193a5b0-0000-7000-8000-000000000000"], 6, "NOT_FOUND"),
        (&["show", "x"], 2, "workflows ls"),
    ] {
        let refused = workflows(&node, arguments).await;
        assert_eq!(refused.code(), code, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(word), "{arguments:?}: {}", refused.stderr);
    }
}

#[tokio::test]
async fn a_step_is_recorded_with_the_time_that_it_took() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let saga = json!({ "count": 1, "steps": 2, "ms": 50 });
    assert_eq!(node.call("flows.start_sagas", saga, Some(&probe::token("ana"))).await.status, 200);
    until("the run has ended", PATIENCE, || async {
        let ended: i64 = database.value("select count(*) from forge_workflow_history").await;
        (ended == 1).then_some(())
    })
    .await;
    let quick = "select count(*) from forge_workflow_steps where finished_at - started_at < interval '50 ms'";
    assert_eq!(database.value::<i64>(quick).await, 0);
}

#[tokio::test]
async fn the_history_of_a_run_is_printed_as_a_file_for_a_test() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database.execute(RUNS).await;
    // More steps and bytes than one answer of the node has.
    let many = "insert into forge_workflow_steps (run_id, position, kind, status, name, shape, number, output, started_at, finished_at)
                select '01900000-0000-7000-8000-000000000002', n, 'closure', 'completed', 'count', -2 * n, n,
                       to_json(repeat('x', case when n <= 12 then 1000000 else 1 end)), now(), now()
                from generate_series(1, 5000) n";
    database.execute(many).await;
    let printed = workflows(&node, &["history", &run(2)]).await;
    assert_eq!(printed.code(), 0, "{}", printed.stderr);
    for words in ["gone.flow, version 1", "diverged", "5000 steps, 12014988 bytes of results", "--json"] {
        assert!(printed.stdout.contains(words), "no `{words}`:\n{}", printed.stdout);
    }
    let file = json_of(&node, &["history", &run(2)]).await;
    assert_eq!((&file["format"], &file["run"]["status"]), (&json!(1), &json!("diverged")));
    let positions: Vec<u32> = (1..=5_000).collect();
    let steps = file["steps"].as_array().expect("steps");
    let found: Vec<u32> = steps.iter().filter_map(|step| step["position"].as_str()?.parse().ok()).collect();
    assert_eq!(found, positions, "in the order of the code");
    assert_eq!(steps[1]["shape"], json!("fffffffffffffffc"));
    assert_eq!(steps[1]["output"].as_str().map(str::len), Some(1_000_002));
    let waiting = json_of(&node, &["history", &run(1)]).await;
    let step = &waiting["steps"][1];
    assert_eq!(
        (&step["kind"], &step["status"], &step["output"]),
        (&json!("event"), &json!("waiting"), &json!(null))
    );
    let missing = workflows(&node, &["history", "0193a5b0-0000-7000-8000-000000000000"]).await;
    assert!(missing.code() == 6 && missing.stderr.contains("NOT_FOUND"), "{}", missing.stderr);
}

#[tokio::test]
async fn many_runs_are_counted_and_then_changed_from_the_shell() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database.execute(RUNS).await;
    let flags = ["bulk", "terminate", "--workflow", "gone.flow", "--reason", "a mistake"];
    let counted = workflows(&node, &flags).await;
    assert!(
        counted.stdout.contains("4 runs match") && counted.stdout.contains("change 3 of them"),
        "{}",
        counted.stdout
    );
    assert_eq!(
        database.value::<i64>("select count(*) from forge_workflow_runs").await,
        3,
        "--yes is missing"
    );
    let done = workflows(&node, &[&flags[..], &["--yes"]].concat()).await;
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(done.stdout.contains(r#""done":3"#), "{}", done.stdout);
    let ended = "select count(*) from forge_workflow_history where error ->> 'message' = 'terminated by admin: a mistake'";
    assert_eq!(database.value::<i64>(ended).await, 3);
    let audit = "select target || ' ' || outcome::text from forge_audit where action = 'bulkWorkflows'";
    let audit = database.value::<String>(audit).await;
    assert!(audit.starts_with("terminate workflow=gone.flow (3 runs): a mistake"), "{audit}");
    assert!(audit.ends_with("done"), "{audit}");
}

#[tokio::test]
async fn a_binary_without_the_code_of_live_runs_does_not_pass_the_check() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let check = async |flags: &[&str]| {
        let mut command = Command::new(Binary::Probe.path());
        command
            .args(["workflows", "check", "--database-url", database.url(), "--color", "never"])
            .args(flags);
        Process::spawn(&mut command).ended(PATIENCE).await
    };
    let passed = check(&[]).await;
    assert_eq!(passed.code(), 0, "{}", passed.stderr);
    database.execute(RUNS).await;
    let refused = check(&["--json"]).await;
    assert_eq!(refused.code(), 5, "{}", refused.stderr);
    let found: Value = serde_json::from_str(&refused.stdout).expect("JSON");
    assert_eq!(
        found["versions"],
        json!([{ "workflow": "gone.flow", "version": 1, "runs": 3, "checked": 0, "diverged": 0, "code": "missing", "migratedTo": null }])
    );
    let printed = check(&[]).await;
    assert!(printed.stdout.contains("missing: no code in this binary"), "{}", printed.stdout);
    drop(node);
}
