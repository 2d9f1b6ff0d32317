//! Reports to `/ready` whether the subsystems run that answer calls and keep live queries up to date. The
//! state of their actors is read from the supervision tree.
//!
//! The tree's journal wakes the check when an actor starts, stops or crashes. A drain writes no journal entry
//! before it ends, so the check also reads the tree every [`POLL_INTERVAL`].

use std::sync::Arc;
use std::time::Duration;

use super::readiness::Readiness;
use crate::kernel::time::millis;
use crate::supervise::{Actor, ActorError, ActorState, ChildSpec, Context, Never, Tree};

/// Name of the readiness check that passes while calls are accepted.
pub const FUNCTIONS_CHECK: &str = "functions";
/// Name of the readiness check that passes while live queries are run.
pub const REACTOR_CHECK: &str = "reactor";

/// Each check, and the actors that must be running for it to pass.
const REQUIRED_ACTORS: [(&str, &[&str]); 2] = [
    (FUNCTIONS_CHECK, &["node/functions"]),
    (REACTOR_CHECK, &["node/reactor/ticker", "node/reactor/poller"]),
];
/// The longest that `/ready` lags behind an actor that stopped without a journal entry.
const POLL_INTERVAL: Duration = millis(500);

/// The actor that reports the subsystems' actors to `/ready`.
pub struct SubsystemCheck {
    tree: Arc<Tree>,
    readiness: Readiness,
}

impl SubsystemCheck {
    /// Declares the child that reports the actors of `tree` to `readiness`.
    pub fn spec(tree: Arc<Tree>, readiness: Readiness) -> ChildSpec {
        ChildSpec::actor("subsystem_check", move || Self {
            tree: Arc::clone(&tree),
            readiness: readiness.clone(),
        })
        .0
    }
}

fn report(tree: &Tree, readiness: &Readiness) {
    for (check, paths) in REQUIRED_ACTORS {
        let runs = |path: &&str| tree.get(path).is_some_and(|actor| actor.state == ActorState::Running);
        if paths.iter().all(runs) {
            readiness.pass(check);
        } else {
            readiness.fail(check, "is not running");
        }
    }
}

impl Actor for SubsystemCheck {
    type Message = Never;
    type State = ();
    const KIND: &'static str = "subsystem_check";

    async fn start(&self, cx: &Context<Never>) -> Result<(), ActorError> {
        let (tree, readiness) = (Arc::clone(&self.tree), self.readiness.clone());
        cx.spawn("follow", async move {
            loop {
                let seen = tree.journal().events_last();
                report(&tree, &readiness);
                // A timeout is as good as a wake-up: both lead to the next report.
                let _timed_out = tokio::time::timeout(POLL_INTERVAL, tree.journal().events_after(seen)).await;
            }
        });
        Ok(())
    }

    async fn handle(&self, _: &Context<Never>, message: Never, (): &mut ()) -> Result<(), ActorError> {
        match message {}
    }
}
