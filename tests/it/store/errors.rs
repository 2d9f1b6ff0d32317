//! What the log, and answers in development, say of an error of Postgres.

use forge_actors::kernel::error_chain::error_chain;
use forge_actors::kernel::fault::Fault;

use super::cluster::Scratch;

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_statement_names_its_state_and_its_position_once() {
    let scratch = Scratch::new().await;
    let mut session = scratch.connect().await;
    let error = sqlx::query("SELECT 1 FROM nowhere").execute(&mut session).await.unwrap_err();
    let fault = Fault::from(error);
    let text = error_chain(&fault);
    let said = "relation \"nowhere\" does not exist at character 15 of the statement (SQLSTATE 42P01)";
    assert!(text.ends_with(said), "{text}");
    assert_eq!(text.matches("nowhere").count(), 1, "{text}");
    assert!(fault.help().is_some_and(|help| help.contains("forge-node migrate status")));
    drop(session);
    scratch.drop().await;
}
