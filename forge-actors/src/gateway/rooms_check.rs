//! Tells the readiness whether the rooms run that answer calls and keep live queries fresh. No one sends to
//! it: it follows the tree.
//!
//! The journal wakes it when an actor starts, stops or crashes. A drain leaves no entry before it ends, so it
//! also looks by itself.

use std::sync::Arc;
use std::time::Duration;

use super::readiness::Readiness;
use crate::kernel::time::millis;
use crate::supervise::{Actor, ActorError, ActorState, ChildSpec, Context, Never, Tree};

/// Name of the readiness check that holds while calls are taken.
pub const FUNCTIONS_CHECK: &str = "functions";
/// Name of the readiness check that holds while live queries are run.
pub const REACTOR_CHECK: &str = "reactor";

/// The checks, and the actors without which they do not hold.
const ROOMS: [(&str, &[&str]); 2] = [
    (FUNCTIONS_CHECK, &["node/functions"]),
    (REACTOR_CHECK, &["node/reactor/ticker", "node/reactor/poller"]),
];
/// Between two looks: what a room that closes without an entry in the journal costs in time.
const LOOK_EVERY: Duration = millis(500);

/// The actor that reports the rooms to `/ready`.
pub struct RoomsCheck {
    tree: Arc<Tree>,
    readiness: Readiness,
}

impl RoomsCheck {
    /// The child that reports what runs in `tree` to `readiness`.
    pub fn spec(tree: Arc<Tree>, readiness: Readiness) -> ChildSpec {
        ChildSpec::actor("rooms_check", move || Self {
            tree: Arc::clone(&tree),
            readiness: readiness.clone(),
        })
        .0
    }
}

fn report(tree: &Tree, readiness: &Readiness) {
    for (check, paths) in ROOMS {
        let runs = |path: &&str| tree.get(path).is_some_and(|actor| actor.state == ActorState::Running);
        if paths.iter().all(runs) {
            readiness.pass(check);
        } else {
            readiness.fail(check, "is not running");
        }
    }
}

impl Actor for RoomsCheck {
    type Message = Never;
    type State = ();
    const KIND: &'static str = "rooms_check";

    async fn start(&self, cx: &Context<Never>) -> Result<(), ActorError> {
        let (tree, readiness) = (Arc::clone(&self.tree), self.readiness.clone());
        cx.spawn("follow", async move {
            loop {
                let seen = tree.journal().events_last();
                report(&tree, &readiness);
                // Late is as good as woken.
                let _woken = tokio::time::timeout(LOOK_EVERY, tree.journal().events_after(seen)).await;
            }
        });
        Ok(())
    }

    async fn handle(&self, _: &Context<Never>, message: Never, (): &mut ()) -> Result<(), ActorError> {
        match message {}
    }
}
