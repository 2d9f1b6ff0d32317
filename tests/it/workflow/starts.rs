//! Starts with an id of the application, and what they find.

use forge::prelude::*;
use serde_json::json;

use super::stage::Stage;

#[forge::event(name = "starts.greeting")]
pub(super) struct Greeting {
    pub text: String,
}

/// Returns the first greeting that comes for it.
#[forge::workflow(name = "starts.greeted")]
pub(super) async fn greeted(ctx: &WorkflowContext) -> Result<String> {
    Ok(ctx.wait_for_signal::<Greeting>().await?.text)
}

#[forge::mutation(internal)]
pub(super) async fn greet(ctx: &MutationContext, text: String) -> Result<RunId> {
    ctx.start(Greeted {}).id("greeted").with_signal(Greeting { text }).await
}

#[forge::mutation(internal)]
pub(super) async fn start_greeted(ctx: &MutationContext) -> Result<RunId> {
    ctx.start(Greeted {}).id("greeted").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_signal_begins_anew_where_its_id_names_a_run_that_has_ended() {
    let stage = Stage::open().await;
    let first = stage.started(StartGreeted {}).await;
    assert_eq!(stage.started(Greet { text: "one".to_owned() }).await, first, "it has not ended");
    assert_eq!(stage.ended(first).await.output, Some(json!("one")));
    assert_eq!(stage.started(StartGreeted {}).await, first, "without a signal it is found");
    let second = stage.started(Greet { text: "two".to_owned() }).await;
    assert_ne!(second, first);
    assert_eq!(stage.ended(second).await.output, Some(json!("two")));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_names_a_run_within_the_tenant_of_its_starter() {
    let stage = Stage::open().await;
    let mut runs = Vec::new();
    for tenant in [None, Some("acme"), Some("globex"), Some("acme"), None] {
        let run: RunId =
            serde_json::from_value(stage.call_in(tenant, StartGreeted {}).await.unwrap()).unwrap();
        runs.push(run);
    }
    assert_eq!((runs[0], runs[1]), (runs[4], runs[3]), "the same tenant finds its run");
    assert!(runs[0] != runs[1] && runs[0] != runs[2] && runs[1] != runs[2], "{runs:?}");
    stage.close().await;
}
