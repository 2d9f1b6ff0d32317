//! What jobs return, and how far they are, on real nodes.

use forge_tests::{Client, Database, NodeBuilder, Socket, probe, until};
use serde_json::{Value, json};

use super::jobs::{await_history, nothing_is_left, worker_on};
use super::stage::{PATIENCE, probe_on};

/// Dispatches a job of the probe that has a result.
async fn report(client: &Client, kind: &str) -> String {
    let arguments = json!({ "kind": kind, "key": kind });
    let reply = client.call("reports.report", arguments, Some(&probe::token("ana"))).await;
    reply.data().as_str().unwrap_or_else(|| panic!("no id: {}", reply.text)).to_owned()
}

#[tokio::test]
async fn the_result_of_a_job_is_kept_whatever_holds_the_job() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let kinds = ["measure", "measure_once", "measure_and_commit", "measure_nothing"];
    for kind in kinds {
        report(node.client(), kind).await;
    }
    await_history(&database, "completed: 4", PATIENCE).await;
    let results = "select coalesce(result::text, 'none') from forge_job_history order by id";
    assert_eq!(
        database.column::<String>(results).await,
        [
            r#"{"key":"measure","pages":7}"#,
            r#"{"key":"measure_once","pages":1}"#,
            r#"{"key":"measure_and_commit","pages":2}"#,
            "none",
        ]
    );
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_result_that_cannot_be_kept_is_a_failure_that_says_so() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    report(node.client(), "measure_amiss").await;
    report(node.client(), "measure_too_much").await;
    await_history(&database, "dead_letter: 1, failed: 1", PATIENCE).await;
    let ended = |name: &str| {
        let sql = format!(
            "select last_error || ' | ' || (failure ->> 'code') from forge_job_history where name = 'reports.{name}'"
        );
        let database = &database;
        async move { database.value::<String>(&sql).await }
    };
    let amiss = ended("measure_amiss").await;
    assert!(
        amiss.contains("what its effect returns is the job's result") && amiss.ends_with("INTERNAL"),
        "{amiss}"
    );
    let measured = "select count(*) from probe_effects where what = 'measured'";
    assert_eq!(database.value::<i64>(measured).await, 0, "the effect was rolled back");
    let large = ended("measure_too_much").await;
    assert!(large.contains("262144 bytes") && large.ends_with("PAYLOAD_TOO_LARGE"), "{large}");
    let begun = "select count(*) from probe_effects where what = 'begun'";
    assert_eq!(database.value::<i64>(begun).await, 1, "another attempt would return as much");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

async fn progress(database: &Database) -> String {
    let sql = "select coalesce(string_agg(concat_ws(' ', status, attempt, progress, message), ', '), 'none') from forge_job_progress";
    database.value(sql).await
}

#[tokio::test]
async fn what_a_job_says_last_is_written_and_the_rest_gathers() {
    let database = Database::create().await;
    let node = worker_on(&database, "log_lines_max = 10").start().await;
    report(node.client(), "measure").await;
    await_history(&database, "completed: 1", PATIENCE).await;
    assert_eq!(progress(&database).await, "none", "what says nothing costs nothing");
    let job = report(node.client(), "chatter").await;
    await_history(&database, "completed: 2", PATIENCE).await;
    until("the end is reported", PATIENCE, || async {
        (progress(&database).await == "completed 2 1 step 500").then_some(())
    })
    .await;
    let changes = "select count(*) from forge_changes where tbl = 'forge_job_progress'::regclass";
    let changes: i64 = database.value(changes).await;
    assert!(changes < 50, "{changes} writes for 1,000 reports");
    let shown = node.client().call("forge.job", json!({ "id": job }), Some(&probe::admin_token())).await;
    let lines: Vec<String> = shown.data()["log"]
        .as_array()
        .expect("a log")
        .iter()
        .map(|line| {
            format!(
                "{} {} {}",
                line["number"],
                line["level"].as_str().unwrap_or(""),
                line["line"].as_str().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(lines.len(), 10, "the last lines are kept: {lines:?}");
    assert_eq!(
        (lines[0].as_str(), lines[9].as_str()),
        ("491 info a step is done step=491", "500 info a step is done step=500")
    );
    assert_eq!((&shown.data()["result"], &shown.data()["progress"]), (&json!("500"), &json!(1.0)));
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn an_attempt_that_has_lost_its_job_reports_nothing() {
    let database = Database::create().await;
    let node = worker_on(&database, "lease = \"2s\"").start().await;
    report(node.client(), "dawdle").await;
    until("the job reports", PATIENCE, || async {
        (progress(&database).await == "running 1 0.25 waiting for dawdle").then_some(())
    })
    .await;
    // Another attempt has reported meanwhile.
    database.execute("update forge_job_progress set claim = claim + 1, message = 'the other one'").await;
    database.execute("insert into probe_effects (key, what, pid) values ('dawdle', 'go', 0)").await;
    await_history(&database, "completed: 1", PATIENCE).await;
    until("the end is reported", PATIENCE, || async {
        (progress(&database).await == "completed 1 1 the other one").then_some(())
    })
    .await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

/// Says to jobs of the probe that pace themselves how far they may go.
async fn let_go(database: &Database, key: &str, what: &str) {
    let sql = format!("insert into probe_effects (key, what, pid) values ('{key}', '{what}', 0)");
    database.execute(&sql).await;
}

/// Passes over what a followed job was before it is `wanted`.
pub(super) async fn await_job(socket: &mut Socket, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = socket.frame_of("transition").await;
        let modifications = frame["mods"].as_array().expect("modifications");
        if let Some(found) = modifications.iter().map(|one| &one["snapshot"]).find(|job| wanted(job)) {
            return found.clone();
        }
    }
}

pub(super) async fn await_status(socket: &mut Socket, status: &str) -> Value {
    await_job(socket, |job| job["status"] == status).await
}

/// A node that runs no jobs.
fn gateway_on(database: &Database) -> NodeBuilder {
    let config = format!("{}\n[node]\nroles = [\"gateway\"]\n", probe::CONFIG);
    probe_on(database).file("forge.toml", config)
}

/// Dispatches a job that its caller follows.
async fn follow(client: &Client, key: &str) -> Value {
    let reply = client.call("reports.follow", json!({ "key": key }), Some(&probe::token("ana"))).await;
    reply.data().clone()
}

#[tokio::test]
async fn a_client_on_another_node_follows_a_job_to_its_end() {
    let database = Database::create().await;
    let gateway = gateway_on(&database).start().await;
    let worker = worker_on(&database, "").start().await;
    let client = gateway.client();
    let (mut socket, _) = Socket::hello(client.base(), Some(&probe::token("ana"))).await;

    let job = follow(client, "a").await;
    socket.subscribe(1, "forge.jobStatus", json!({ "id": job })).await;
    let running = await_status(&mut socket, "running").await;
    assert_eq!((&running["attempt"], &running["attemptsMax"]), (&json!(1), &json!(2)));
    let_go(&database, "a", "half").await;
    let half = await_job(&mut socket, |job| job["message"] == "half").await;
    assert_eq!(half["progress"], json!(0.5));
    let_go(&database, "a", "done").await;
    let ended = await_status(&mut socket, "completed").await;
    assert_eq!(
        (&ended["result"], &ended["progress"], &ended["failure"]),
        (&json!({ "key": "a", "pages": 12 }), &json!(1.0), &Value::Null)
    );

    let job = follow(client, "b").await;
    socket.subscribe(2, "forge.jobStatus", json!({ "id": job })).await;
    let_go(&database, "b", "half").await;
    let_go(&database, "b", "fail").await;
    let ended = await_status(&mut socket, "dead_letter").await;
    let failure = json!({
        "code": "FAILS_AS_ASKED", "message": "The job fails, as asked.", "details": { "by": "b" }, "isOwn": true
    });
    assert_eq!((&ended["failure"], &ended["attempt"], &ended["result"]), (&failure, &json!(2), &Value::Null));

    let job = follow(client, "c").await;
    socket.subscribe(3, "forge.jobStatus", json!({ "id": job })).await;
    await_status(&mut socket, "running").await;
    let cancelled = client.call("forge.cancelMyJob", json!({ "id": job }), Some(&probe::token("ana"))).await;
    assert_eq!(cancelled.data()["status"], "cancelled", "{}", cancelled.text);
    let ended = await_status(&mut socket, "cancelled").await;
    assert_eq!(ended["failure"]["code"], "CANCELLED");
    let error = "select last_error from forge_job_history where status = 'cancelled'";
    assert_eq!(database.value::<String>(error).await, "cancelled by ana");
    for node in [gateway, worker] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

#[tokio::test]
async fn nobody_else_sees_or_cancels_a_job_but_an_administrator() {
    let database = Database::create().await;
    let node = gateway_on(&database).start().await;
    let client = node.client();
    let ana = probe::token("ana");
    let followed = follow(client, "a").await;
    let unfollowed = json!(report(client, "measure").await);
    let public = client.call("reports.follow_publicly", json!({ "key": "b" }), None).await.data().clone();
    let ask = async |function: &str, job: &Value, token: Option<&str>| {
        client.call(function, json!({ "id": job }), token).await.status
    };
    let bob = probe::token("bob");
    for function in ["forge.jobStatus", "forge.cancelMyJob"] {
        for token in [Some(bob.as_str()), None] {
            assert_eq!(ask(function, &followed, token).await, 404, "{function}");
            assert_eq!(ask(function, &unfollowed, token).await, 404, "{function}");
        }
        assert_eq!(ask(function, &unfollowed, Some(&ana)).await, 404, "it has no handle");
    }
    assert_eq!(ask("forge.jobStatus", &followed, Some(&ana)).await, 200);
    assert_eq!(ask("forge.jobStatus", &followed, Some(&probe::admin_token())).await, 200);
    assert_eq!(ask("forge.jobStatus", &public, None).await, 200, "whoever knows the id");
    for what in ["cancels the job", "changes nothing"] {
        let cancelled = client.call("forge.cancelMyJob", json!({ "id": followed }), Some(&ana)).await;
        assert_eq!(cancelled.data()["status"], "cancelled", "{what}");
    }
    assert_eq!(database.value::<i64>("select count(*) from forge_job_history").await, 1);

    // An operator brings the job back: it is followed as before.
    let retried = client.call("forge.retryJob", json!({ "id": followed }), Some(&probe::admin_token())).await;
    assert_eq!(retried.status, 200, "{}", retried.text);
    let again = client.call("forge.jobStatus", json!({ "id": followed }), Some(&ana)).await;
    assert_eq!((&again.data()["status"], &again.data()["failure"]), (&json!("pending"), &Value::Null));
    let flagged = "select count(*) from forge_jobs where followed and name = 'reports.pace'";
    assert_eq!(database.value::<i64>(flagged).await, 2);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn followers_learn_what_was_missed() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let job = follow(node.client(), "a").await;
    let (mut socket, _) = Socket::hello(node.client().base(), Some(&probe::token("ana"))).await;
    socket.subscribe(1, "forge.jobStatus", json!({ "id": job })).await;
    await_status(&mut socket, "running").await;
    let id = job.as_str().expect("an id");
    // As a node of an older version ends a job: it tells nobody.
    database
        .execute(&format!(
            "with held as (update forge_job_leases set gone = gone || '{id}'::uuid returning id)
             insert into forge_job_history
                 (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at)
             select '{id}', 'reports.pace', 'work', 50, 'cancelled', 1, 2, 9, '{{}}', 'by hand', now() from held"
        ))
        .await;
    let ended = await_status(&mut socket, "cancelled").await;
    assert_eq!(ended["failure"]["code"], "CANCELLED");
    let stray = "insert into forge_job_progress (id, claim, status, attempt, attempts_max)
        values (gen_random_uuid(), 1, 'running', 1, 1)";
    database.execute(stray).await;
    until("the progress of a job that is in no table goes", PATIENCE, || async {
        (database.value::<i64>("select count(*) from forge_job_progress").await == 1).then_some(())
    })
    .await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn an_action_runs_a_job_on_another_node_and_returns_what_it_returned() {
    let database = Database::create().await;
    let gateway = gateway_on(&database).start().await;
    let worker = worker_on(&database, "").start().await;
    let (client, ana) = (gateway.client(), probe::token("ana"));
    let run = async |key: &str, wait_ms: Option<u32>| {
        client.call("reports.run", json!({ "key": key, "waitMs": wait_ms }), Some(&ana)).await
    };
    let waiting = async {
        await_progress(&database, "running 1 0 waiting").await;
        let_go(&database, "a", "half").await;
        let_go(&database, "a", "done").await;
    };
    let (ran, ()) = tokio::join!(run("a", None), waiting);
    assert_eq!(ran.data(), json!({ "key": "a", "pages": 12 }), "{}", ran.text);

    let_go(&database, "b", "half").await;
    let_go(&database, "b", "fail").await;
    let failed = run("b", None).await;
    assert_eq!((failed.status, failed.code().as_str()), (409, "FAILS_AS_ASKED"), "{}", failed.text);

    let late = run("c", Some(300)).await;
    assert_eq!((late.status, late.code().as_str()), (504, "TIMEOUT"), "{}", late.text);
    let job = late.json()["error"]["details"]["job"].as_str().expect("the id of the job").to_owned();
    let_go(&database, "c", "half").await;
    let_go(&database, "c", "done").await;
    until("the job has gone on", PATIENCE, || async {
        let ended =
            format!("select count(*) from forge_job_history where id = '{job}' and status = 'completed'");
        (database.value::<i64>(&ended).await == 1).then_some(())
    })
    .await;
    for node in [gateway, worker] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

async fn await_progress(database: &Database, expected: &str) {
    let reached = || async { (progress(database).await == expected).then_some(()) };
    until(&format!("progress is `{expected}`"), PATIENCE, reached).await;
}
