//! What an operator begins in the place of the application: runs, and events.

use forge::prelude::*;
use forge_actors::dashboard::workflow_commands::{CancelWorkflow, SignalWorkflow};
use forge_actors::dashboard::workflow_start::{EmitEvent, ListStartableWorkflows, StartWorkflow};
use forge_actors::dashboard::workflows::ShowWorkflow;
use forge_actors::workflow::admin::WorkflowAttribute;
use serde_json::Value;

use super::operating::admin;
use super::samples::BeginPayment;
use super::stage::Stage;

/// A start of `samples.payment`, whose argument is the number of an order.
fn payment(order: u32) -> StartWorkflow {
    start("samples.payment", &format!(r#"{{"order": {order}}}"#))
}

fn start(workflow: &str, args: &str) -> StartWorkflow {
    StartWorkflow {
        workflow: workflow.to_owned(),
        args: args.to_owned(),
        version: None,
        key: None,
        on_conflict: None,
        after_ms: None,
        attributes: None,
        reason: None,
    }
}

fn attribute(name: &str, value: &str) -> WorkflowAttribute {
    WorkflowAttribute { name: name.to_owned(), value: value.to_owned() }
}

fn emission(key: &str, payload: &str, once: Option<&str>) -> EmitEvent {
    EmitEvent {
        event: "samples.paid".to_owned(),
        key: key.to_owned(),
        payload: payload.to_owned(),
        once: once.map(str::to_owned),
        reason: None,
    }
}

fn run_in(answer: &Value) -> RunId {
    serde_json::from_value(answer["run"]["id"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_by_name_with_the_identity_of_the_operator() {
    let stage = Stage::open().await;
    let ask = StartWorkflow {
        // With blanks, which the id of the application does not have.
        key: Some(r#"[ "payment", 7 ]"#.to_owned()),
        attributes: Some(vec![attribute("plan", "gold"), attribute("seats", "7")]),
        reason: Some("lost in the outage".to_owned()),
        ..payment(7)
    };
    let started = admin(&stage, ask).await.unwrap();
    let run = run_in(&started);
    assert_eq!((&started["isNew"], &started["run"]["version"]), (&json!(true), &json!(1)));
    stage.has_status(run, "waiting").await;
    let shown = admin(&stage, ShowWorkflow { id: run }).await.unwrap();
    assert_eq!((&shown["subject"], &shown["run"]["key"]), (&json!("ana"), &json!(r#"["payment",7]"#)));
    let attributes: Value = serde_json::from_str(shown["attributes"].as_str().unwrap()).unwrap();
    assert_eq!(attributes, json!({ "plan": "gold", "seats": 7 }));
    let audit = "SELECT action || ' ' || target || ' ' || outcome::text FROM forge_audit";
    let expected = format!("startWorkflow samples.payment v1 {run} [\"payment\",7]: lost in the outage done");
    assert_eq!(stage.value::<String>(audit).await, expected);

    // The application finds the run under its own id, and the run goes through.
    assert_eq!(stage.started(BeginPayment { order: 7 }).await, run);
    let emitted = admin(&stage, emission("7", r#"{"order": 7, "amount": 3}"#, None)).await.unwrap();
    assert_eq!(emitted["waiting"], json!({ "count": 1, "isMore": false }));
    assert_eq!(stage.ended(run).await.output, Some(json!(3)));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_start_by_an_operator_names_one_run() {
    let stage = Stage::open().await;
    let keyed = |on_conflict| StartWorkflow { key: Some("7".to_owned()), on_conflict, ..payment(7) };
    let first = run_in(&admin(&stage, keyed(None)).await.unwrap());
    for rule in [None, Some(IdConflict::Return), Some(IdConflict::ReturnRunning)] {
        let found = admin(&stage, keyed(rule)).await.unwrap();
        assert_eq!((run_in(&found), &found["isNew"]), (first, &json!(false)), "{rule:?}");
        assert!(found["message"].as_str().unwrap().contains("nothing was started"), "{found}");
    }
    let refused = admin(&stage, keyed(Some(IdConflict::Fail))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    let replaced = admin(&stage, keyed(Some(IdConflict::Replace))).await.unwrap();
    assert_ne!(run_in(&replaced), first);
    assert_eq!(stage.ended(first).await.status, "cancelled");
    let audit: i64 = stage.value("SELECT count(*) FROM forge_audit").await;
    assert_eq!(audit, 5, "what was refused was rolled back with its audit");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_begins_later_can_be_cancelled_before() {
    let stage = Stage::open().await;
    let later = StartWorkflow { after_ms: Some(Int53::millis(hours(2))), ..payment(7) };
    let answer = admin(&stage, later).await.unwrap();
    assert_eq!(answer["message"], "the run is started, and begins in 2h");
    let run = run_in(&answer);
    let due = "SELECT due_at BETWEEN now() + interval '119 min' AND now() + interval '121 min' FROM forge_workflow_runs";
    assert!(stage.value::<bool>(due).await);
    admin(&stage, CancelWorkflow { id: run, reason: None }).await.unwrap();
    let ended = stage.ended(run).await;
    assert_eq!((ended.status.as_str(), ended.message()), ("cancelled", "the run was cancelled by ana"));
    assert_eq!(stage.log(run).await, [""; 0], "it has not begun");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_workflow_is_refused_at_the_start() {
    let stage = Stage::open().await;
    let large = format!(r#"{{"user": 1, "name": "{}"}}"#, "x".repeat(1_024));
    let version = |version: u32, ask: StartWorkflow| StartWorkflow { version: Some(version), ..ask };
    let key = |key: &str| StartWorkflow { key: Some(key.to_owned()), ..payment(7) };
    let with =
        |attributes: Vec<WorkflowAttribute>| StartWorkflow { attributes: Some(attributes), ..payment(7) };
    let flow = || start("versioned.flow", r#"{"id": 1}"#);
    let (bad, large_input) = (Code::BadRequest, Code::PayloadTooLarge);
    for (ask, code, words) in [
        (
            start("samples.paymnet", "{}"),
            bad,
            "no workflow `samples.paymnet`; did you mean `samples.payment`?",
        ),
        (start("samples.triple", "{}"), bad, "`samples.triple` is of the kind job, and no workflow"),
        (version(3, flow()), bad, "no version 3 of `versioned.flow`; it has: 1, 2"),
        (version(1, flow()), Code::Conflict, "version 1 of `versioned.flow` is deprecated"),
        (
            start("samples.payment", "{}"),
            bad,
            "do not fit version 1 of `samples.payment`: `order` is required",
        ),
        (start("samples.payment", r#"{"order": "x", "ordr": 1}"#), bad, "`ordr` is unknown"),
        (start("samples.payment", "[7]"), bad, "must be a JSON object"),
        (start("samples.payment", "{"), bad, "not valid JSON"),
        (start("workflows.onboard", &large), large_input, "larger than 1024 bytes"),
        (key("user-7"), bad, "the key of a run is no JSON"),
        (key(&format!("\"{}\"", "x".repeat(511))), large_input, "at most 512 bytes"),
        (StartWorkflow { on_conflict: Some(IdConflict::Fail), ..payment(7) }, bad, "there is no `key`"),
        (StartWorkflow { after_ms: Some(Int53::from(-1)), ..payment(7) }, bad, "still to come"),
        (StartWorkflow { reason: Some(" ".to_owned()), ..payment(7) }, bad, "a reason has 1 to"),
        (with(vec![attribute("", "1")]), bad, "an attribute has a name"),
        (with(vec![attribute("a", "1"), attribute("a", "2")]), bad, "`a` is given twice"),
        (with(vec![attribute("a", "\"\\u0000\"")]), bad, "U+0000"),
        (with(vec![attribute("a", &"x".repeat(65_536))]), large_input, "at most 65536 bytes"),
    ] {
        let asked = format!("{} {:?}", ask.workflow, ask.key);
        let refused = admin(&stage, ask).await.expect_err(&asked);
        assert_eq!(refused.code(), code, "{asked}: {refused}");
        assert!(refused.message().contains(words), "{asked}: {refused}");
    }
    let written = "SELECT (SELECT count(*) FROM forge_workflow_runs) + (SELECT count(*) FROM forge_audit)";
    assert_eq!(stage.value::<i64>(written).await, 0);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_started_is_listed_with_versions_and_arguments() {
    let stage = Stage::open().await;
    let all = admin(&stage, ListStartableWorkflows {}).await.unwrap();
    let find = |name: &str| all.as_array().unwrap().iter().find(|found| found["name"] == name);
    let onboard = find("workflows.onboard").expect("it is linked");
    assert_eq!((&onboard["doc"], &onboard["newest"]), (&json!("Welcomes a user."), &json!(2)));
    assert_eq!(
        onboard["versions"][1],
        json!({
            "version": 2,
            "isDeprecated": false,
            "arguments": [
                { "name": "user", "doc": "", "form": "whole number", "isRequired": true, "placeholder": "0" },
                { "name": "name", "doc": "", "form": "text or null", "isRequired": false, "placeholder": "null" },
            ],
            "inputBytesMax": 1_024,
        })
    );
    assert_eq!(onboard["versions"][0]["isDeprecated"], json!(true));
    assert!(find("workflows.welcome").is_none(), "an alias is for rows that exist");
    assert!(find("samples.triple").is_none(), "a job is no workflow");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_operator_reaches_the_runs_that_wait_for_its_key() {
    let stage = Stage::open().await;
    let mut runs = Vec::new();
    for order in [7, 7, 8] {
        runs.push(run_in(&admin(&stage, payment(order)).await.unwrap()));
    }
    for run in &runs {
        stage.has_status(*run, "waiting").await;
    }
    let paid = r#"{"order": 7, "amount": 3}"#;
    let emitted = admin(&stage, emission(" 7", paid, Some("first"))).await.unwrap();
    assert_eq!(
        (&emitted["isNew"], &emitted["waiting"]["count"], &emitted["message"]),
        (&json!(true), &json!(2), &json!("the event is emitted; 2 runs wait for it now, and receive it"))
    );
    for run in &runs[..2] {
        assert_eq!(stage.ended(*run).await.output, Some(json!(3)));
    }
    stage.has_status(runs[2], "waiting").await;
    let again = admin(&stage, emission("7", paid, Some("first"))).await.unwrap();
    assert_eq!((&again["isNew"], &again["waiting"]["count"]), (&json!(false), &json!(0)));
    let kept: i64 =
        stage.value("SELECT count(*) FROM forge_workflow_events WHERE event = 'samples.paid'").await;
    assert_eq!(kept, 1);
    let audit =
        "SELECT string_agg(target || ' ' || outcome::text, ', ') FROM forge_audit WHERE action = 'emitEvent'";
    assert_eq!(stage.value::<String>(audit).await, "samples.paid 7 done, samples.paid 7 done");

    let large = format!("\"{}\"", "x".repeat(262_144));
    let long = format!("\"{}\"", "x".repeat(1_023));
    let named = |event: &str| EmitEvent { event: event.to_owned(), ..emission("7", paid, None) };
    for (ask, code, words) in [
        (emission("user-7", paid, None), Code::BadRequest, "the key of an event is no JSON"),
        (emission(&long, paid, None), Code::PayloadTooLarge, "at most 1024 bytes"),
        (emission("7", "{", None), Code::BadRequest, "the payload is no JSON"),
        (
            emission("7", &large, None),
            Code::PayloadTooLarge,
            "the payload of an event has at most 262144 bytes",
        ),
        (emission("7", paid, Some("")), Code::BadRequest, "1 to 512 bytes"),
        (emission("7", r#"{"order": 7}"#, None), Code::BadRequest, "`samples.paid`: missing field `amount`"),
        (
            emission("7", r#"{"order": 7, "amount": "3"}"#, None),
            Code::BadRequest,
            "does not fit the event `samples.paid`: `amount` invalid type: string",
        ),
        (emission("7", r#"{"order": 7, "amont": 3}"#, None), Code::BadRequest, "`amont` is unknown"),
        (emission("8", paid, None), Code::BadRequest, "its key is 7"),
        (named(""), Code::BadRequest, "the name of an event"),
        (named("forge.run"), Code::BadRequest, "does not begin with `forge.`"),
    ] {
        let refused = admin(&stage, ask).await.expect_err(words);
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(words), "{refused}");
    }
    // What the binary has no type for may be an event of another one.
    admin(&stage, named("samples.unknown")).await.unwrap();
    let signal = SignalWorkflow { id: runs[2], name: "samples.nudge".to_owned(), payload: "{}".to_owned() };
    let refused = admin(&stage, signal).await.unwrap_err();
    assert!(refused.message().contains("`samples.nudge`: missing field `text`"), "{refused}");
    stage.close().await;
}
