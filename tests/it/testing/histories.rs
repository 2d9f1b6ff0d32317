//! Recorded histories in tests of applications: what a run has recorded is replayed against the code.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use forge::prelude::*;
use forge::testing::{TestContext, TestResult};
use forge_actors::dashboard::workflows::ExportWorkflowHistory;
use forge_actors::workflow::history::WorkflowHistory;
use serde_json::Value;

/// Steps that were executed. A test has a process of its own.
static EXECUTED: AtomicU32 = AtomicU32::new(0);

fn execute(result: u32) -> u32 {
    EXECUTED.fetch_add(1, Relaxed);
    result
}

/// Registers an order, waits for a day, and sends a mail.
#[forge::workflow(name = "histories.deliver")]
pub(crate) async fn deliver(ctx: &WorkflowContext, order: u32, fails: bool) -> Result<u32> {
    let crm = ctx.step("crm", move || async move { Ok(execute(order)) }).await?;
    ctx.sleep(days(1)).await;
    if fails {
        return Err(Fault::new(Code::Conflict, "no mail is sent"));
    }
    let mail = ctx.step("mail", || async { Ok(execute(1)) }).await?;
    Ok(crm + mail)
}

/// The history of a run, as `forge-node workflows history --json` prints it.
async fn recorded(cx: &TestContext, run: RunId) -> TestResult<Value> {
    let admin = cx.as_user("ana").roles(["admin"]);
    let mut parts = vec![admin.call(ExportWorkflowHistory { id: run, after: None }).await?];
    while let Some(after) = parts.last().and_then(|part| part.next.clone()) {
        parts.push(admin.call(ExportWorkflowHistory { id: run, after: Some(after) }).await?);
    }
    Ok(json!(WorkflowHistory::of(parts)?))
}

/// Runs the workflow to its end.
async fn delivered(cx: &TestContext, fails: bool) -> TestResult<RunId> {
    let run = cx.start(Deliver { order: 7, fails }).await?;
    cx.run_workflows().await?;
    cx.advance(days(1)).await?;
    cx.run_workflows().await?;
    Ok(run)
}

#[forge::test]
async fn a_recorded_history_is_replayed_and_no_step_is_executed(cx: TestContext) -> TestResult {
    let run = delivered(&cx, false).await?;
    assert_eq!((cx.outcome::<Deliver>(run).await?, EXECUTED.load(Relaxed)), (8, 2));
    let history = recorded(&cx, run).await?;
    let replayed = cx.replay(&history.to_string()).await?;
    assert_eq!((replayed.steps, replayed.was_open, replayed.goes_on_with), (3, false, None));
    let failed = delivered(&cx, true).await?;
    cx.replay(&recorded(&cx, failed).await?.to_string()).await?;
    assert_eq!(EXECUTED.load(Relaxed), 3, "that of the run that has failed, and none of a replay");
    Ok(())
}

#[forge::test]
async fn a_run_that_was_open_may_ask_for_more_than_was_recorded(cx: TestContext) -> TestResult {
    let run = cx.start(Deliver { order: 7, fails: false }).await?;
    cx.run_workflows().await?;
    let replayed = cx.replay(&recorded(&cx, run).await?.to_string()).await?;
    assert_eq!((replayed.steps, replayed.was_open), (2, true));
    assert_eq!(replayed.goes_on_with.as_deref(), Some("step 2 `sleep` (sleep)"));
    Ok(())
}

#[forge::test]
async fn a_history_that_the_code_does_not_fit_fails_with_the_difference(cx: TestContext) -> TestResult {
    let run = delivered(&cx, false).await?;
    let history = recorded(&cx, run).await?;
    // What other code than this would have recorded.
    let with = |pointer: &str, value: Value| {
        let mut other = history.clone();
        *other.pointer_mut(pointer).expect("a field of a history") = value;
        other
    };
    let steps = |change: fn(&mut Vec<Value>)| {
        let mut other = history.clone();
        change(other["steps"].as_array_mut().expect("steps"));
        other
    };
    let redacted = {
        let mut other = with("/steps/0/output", json!("\"[redacted]\""));
        other["steps"][0]["isRedacted"] = json!(true);
        other
    };
    for (other, expected) in [
        (
            with("/steps/0/name", json!("register")),
            "expected step 1 `register` (closure), found `crm` (closure)",
        ),
        (with("/steps/2/kind", json!("job")), "expected step 3 `mail` (job), found `mail` (closure)"),
        (with("/steps/2/shape", json!("000000000000abcd")), "with other arguments or another result"),
        (with("/run/output", json!("9")), "the run has returned 9, and the code returns 8"),
        (with("/run/status", json!("continued")), "the run has gone on as a new run, and the code returns 8"),
        (with("/run/input", json!("{}")), "its arguments do not fit"),
        (
            steps(|steps| drop(steps.pop())),
            "the run has returned 8, and the code goes on with step 3 `mail` (closure), which was not recorded",
        ),
        (
            steps(|steps| {
                let mut more = steps[2].clone();
                (more["position"], more["name"]) = (json!("4"), json!("bill"));
                steps.push(more);
            }),
            "expected step 4 `bill` (closure), and the code ended before it",
        ),
        (redacted, "the history lacks the secrets of the result of step 1 `crm`"),
        (
            with("/run/workflow", json!("histories.gone")),
            "the workflow `histories.gone`, and this binary has: ",
        ),
        (with("/run/version", json!(9)), "version 9 of `histories.deliver`: this binary has 1 of it"),
        (with("/steps/0/shape", json!("x")), "`x` is no shape"),
        (json!({ "run": {} }), "no history of a run"),
    ] {
        let refused = cx.replay(&other.to_string()).await.expect_err(expected).to_string();
        assert!(refused.contains(expected), "not `{expected}`: {refused}");
    }
    let failed = recorded(&cx, delivered(&cx, true).await?).await?;
    let text = failed.to_string().replace("\"CONFLICT\"", "\"REFUSED\"");
    let refused = cx.replay(&text).await.expect_err("another failure").to_string();
    let expected = "the run has failed with REFUSED: no mail is sent, and the code fails with CONFLICT";
    assert!(refused.contains(expected), "{refused}");
    Ok(())
}
