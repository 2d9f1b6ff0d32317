//! A migration of a journal.

use forge::prelude::*;
use forge::testing::{TestContext, TestResult};

/// Asks for a consent, and then registers the parcel, which version 1 did in a step named `crm`.
#[forge::workflow(version = 2)]
pub async fn ship(ctx: &WorkflowContext, parcel: u32) -> Result<u32> {
    let consents = ctx.step("consent", || async { Ok(true) }).await?;
    let registered = ctx.step("register", move || async move { Ok(parcel + 1) }).await?;
    ctx.sleep(days(2)).await;
    Ok(if consents { registered } else { 0 })
}

#[forge::workflow_migration(from = 1, to = 2)]
fn ship_1_to_2(journal: &mut Journal<Ship>) -> Result<()> {
    // A run that has recorded no step yet has nothing to change: version 2 executes both steps.
    if journal.steps().is_empty() {
        return Ok(());
    }
    journal.rename("crm", "register")?;
    journal.insert(1, "consent", &true)
}

#[forge::test]
async fn a_history_of_version_1_is_migrated_and_replayed(cx: TestContext) -> TestResult {
    let step = |position: &str, kind: &str, status: &str, name: &str, output: Option<&str>| {
        json!({
            "position": position, "kind": kind, "status": status, "name": name, "shape": "0000000000000000",
            "number": output.map(|_| 1), "output": output, "isRedacted": false,
            "finishedAt": output.map(|_| "2030-01-31T09:00:00Z"),
        })
    };
    let history = json!({
        "format": 1,
        "run": {
            "id": "01900000-0000-7000-8000-000000000001", "workflow": "shipping.ship", "version": 1,
            "status": "waiting", "isEnding": false, "claim": 1, "input": r#"{"parcel": 7}"#,
            "isInputRedacted": false, "isOutputRedacted": false, "roles": [],
            "begunAt": "2030-01-31T09:00:00Z", "steps": 2,
        },
        "steps": [
            step("1", "closure", "completed", "crm", Some("8")),
            step("2", "sleep", "waiting", "sleep", None),
        ],
    });
    let replayed = cx.replay(&history.to_string()).await?;
    assert_eq!(replayed.goes_on_with.as_deref(), Some("step 3 `sleep` (sleep)"));
    let other = history.to_string().replace("\"crm\"", "\"post\"");
    let refused = cx.replay(&other).await.expect_err("no such step").to_string();
    let expected = "the migration from version 1 to 2 has failed: the journal has no step `crm`";
    assert!(refused.contains(expected), "{refused}");
    Ok(())
}
