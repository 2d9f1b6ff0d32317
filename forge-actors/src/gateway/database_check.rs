//! Reports to `/ready` whether the database answers, as the database's monitor sees it.

use tokio::sync::watch;

use super::readiness::Readiness;
use crate::db::state::DatabaseState;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Never};

/// Name of the readiness check that passes while the database answers.
pub const DATABASE_CHECK: &str = "database";

/// The actor that reports the database's state to `/ready`.
pub struct DatabaseCheck {
    state: watch::Receiver<DatabaseState>,
    readiness: Readiness,
}

impl DatabaseCheck {
    /// Declares the child that reports `state` to `readiness`.
    pub fn spec(state: watch::Receiver<DatabaseState>, readiness: Readiness) -> ChildSpec {
        ChildSpec::actor("database_check", move || Self {
            state: state.clone(),
            readiness: readiness.clone(),
        })
        .0
    }
}

impl Actor for DatabaseCheck {
    type Message = Never;
    type State = ();
    const KIND: &'static str = "database_check";

    async fn start(&self, cx: &Context<Never>) -> Result<(), ActorError> {
        let (mut state, readiness) = (self.state.clone(), self.readiness.clone());
        cx.spawn("follow", async move {
            loop {
                let up = state.borrow_and_update().is_up();
                if up {
                    readiness.pass(DATABASE_CHECK)
                } else {
                    readiness.fail(DATABASE_CHECK, "the database does not answer")
                }
                // The sender is dropped with the connection pools, when the whole node ends.
                if state.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    async fn handle(&self, _: &Context<Never>, message: Never, (): &mut ()) -> Result<(), ActorError> {
        match message {}
    }
}
