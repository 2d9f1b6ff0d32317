//! One trace: from a client's `traceparent` through a call and its statements on one node to the job on
//! another.

use forge_tests::{Database, Node, NodeBuilder, Socket, probe, until};
use serde_json::{Value, json};

use super::peers::{await_links, member};
use super::stage::PATIENCE;

/// Each call, each attempt and each statement has a line.
const LEVEL: &str = "info,forge_actors=debug,sqlx::query=debug";

#[tokio::test]
async fn one_trace_goes_from_a_client_to_statements_and_a_job_on_another_node() {
    let database = Database::create().await;
    let mut front = talkative(&database, "front").arguments(["--roles", "gateway,function"]).start().await;
    let mut worker = talkative(&database, "worker").arguments(["--roles", "gateway,worker"]).start().await;
    await_links(&front, &["worker"], PATIENCE).await;
    let (mut socket, _) = Socket::hello(front.client().base(), Some(&probe::token("ana"))).await;
    let args = |prefix: &str| json!({ "prefix": prefix, "count": 1, "ms": 0 });

    let over_http = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("build the client")
        .post(format!("{}/rpc/jobs.enqueue", front.client().base()));
    let request = request
        .header("traceparent", traceparent(over_http))
        .bearer_auth(probe::token("ana"))
        .json(&args("http"));
    assert_eq!(request.send().await.expect("an answer").headers()["x-trace-id"], over_http);
    let over_socket = "a3ce929d0e0e47364bf92f3577b34da6";
    let mutation = json!({ "type": "mut", "id": 1, "name": "jobs.enqueue", "args": args("socket"), "trace": traceparent(over_socket) });
    socket.send(mutation).await;
    assert!(socket.frame_of("mutResult").await.get("error").is_none());

    for (trace, answered) in [(over_http, "request answered"), (over_socket, "mutation answered")] {
        await_line(&mut front, trace, |line| line["message"] == answered).await;
        await_line(&mut front, trace, |line| says(line, "INSERT INTO forge_jobs")).await;
        await_line(&mut worker, trace, |line| {
            line["message"] == "attempt ended" && line["span"]["handler"] == "jobs.work"
        })
        .await;
        await_line(&mut worker, trace, |line| says(line, "insert into probe_effects")).await;
        let rows = database
            .column::<String>(
                "select trace from forge_job_history union all select trace from forge_unfinished_jobs",
            )
            .await;
        assert_eq!(rows.iter().filter(|row| row.contains(trace)).count(), 1, "{rows:?}");
    }
}

#[tokio::test]
async fn the_trace_of_an_error_finds_a_line_of_the_log() {
    let database = Database::create().await;
    let mut node = member(&database, "node").environment("FORGE_LOG__FORMAT", "json").start().await;
    let (mut socket, _) = Socket::hello(node.client().base(), Some(&probe::token("ana"))).await;
    // Refused by its name, by its arguments, by a conflict of its own; and failed.
    let calls = ["no.such", "probe.put", "jobs.enqueue_and_fail", "probe.put_and_panic"];
    for (id, name) in calls.into_iter().enumerate() {
        let args = if name == "probe.put" { json!({}) } else { json!({ "key": "k" }) };
        socket.send(json!({ "type": "mut", "id": id + 1, "name": name, "args": args })).await;
        let error = socket.frame_of("mutResult").await["error"].take();
        let trace = error["traceId"].as_str().expect("a trace id").to_owned();
        let handler = if name == "no.such" { "unknown" } else { name };
        await_line(&mut node, &trace, |line| line["handler"] == handler && line["code"] == error["code"])
            .await;
        if error["code"] == "INTERNAL" {
            await_line(&mut node, &trace, |line| {
                line["cause"].as_str().is_some_and(|cause| cause.contains("as asked"))
            })
            .await;
        }
    }
    // A live query: refused at once by its arguments, and failed when it ran.
    for (id, name, args) in [(1, "live.title", json!({})), (2, "probe.panic", json!({}))] {
        socket.subscribe(id, name, args).await;
        let error = socket.frame_of("transition").await["mods"][0]["error"].take();
        let trace = error["traceId"].as_str().expect("a trace id").to_owned();
        await_line(&mut node, &trace, |line| line["handler"] == name && line["code"] == error["code"]).await;
    }
}

fn talkative(database: &Database, name: &str) -> NodeBuilder {
    member(database, name).environment("FORGE_LOG__FORMAT", "json").environment("FORGE_LOG__LEVEL", LEVEL)
}

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-01")
}

fn says(line: &Value, statement: &str) -> bool {
    let texts = [&line["summary"], &line["db.statement"]];
    line["target"] == "sqlx::query"
        && texts.iter().any(|text| text.as_str().is_some_and(|text| text.contains(statement)))
}

/// Waits for a line of the node's log that belongs to this trace.
async fn await_line(node: &mut Node, trace: &str, is: impl Fn(&Value) -> bool) {
    let log = node.process().stderr().clone();
    until(&format!("a line of the trace {trace}"), PATIENCE, || {
        let text = log.text();
        let lines = text
            .lines()
            .filter(|line| line.contains(trace))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = lines.into_iter().any(|line| {
            [&line["trace_id"], &line["span"]["trace_id"]].iter().any(|id| **id == trace) && is(&line)
        });
        async move { found.then_some(()) }
    })
    .await;
}
