//! The actor that says that this node lives, and looks who else does.
//!
//! ```text
//!   joining ──started──▶ active ──drain──▶ draining ──stopped──▶ dead
//!      └───────────────── not seen for dead_after: another node says so ──▶ dead (lost)
//! ```
//!
//! A node that was declared dead and lives (its process was frozen, or the database was away from it alone)
//! finds no row to beat and joins again. A node whose own heartbeats failed judges nobody until they have
//! been in order for `dead_after`: after an outage of the database everybody's row is old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::ClusterConfig;
use super::room::Room;
use super::signals::Signals;
use super::store::{self, Identity};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::node::NodeState;
use crate::kernel::time::{hours, secs};
use crate::supervise::{Actor, ActorError, Context, Timer};

/// How long the row of a dead node is kept.
pub(super) const RETENTION: Duration = hours(24);
/// Between two deletions of old rows.
const FORGET_EVERY: Duration = hours(1);
/// Time for the last word of a node that stops.
const LEAVE_DEADLINE: Duration = secs(2);

/// Messages of the registry.
#[derive(forge_app_macros::Message)]
pub(super) enum RegistryMessage {
    /// Say that the node lives.
    Beat,
    /// Delete old rows.
    Forget,
    /// The node is in this state from now on.
    Enter(NodeState),
}

/// The actor.
pub(super) struct Registry {
    pub(super) room: Arc<Room>,
    pub(super) database: Database,
    pub(super) config: ClusterConfig,
    pub(super) identity: Arc<Identity>,
}

/// What the registry remembers.
pub(super) struct RegistryState {
    node_state: NodeState,
    joined: bool,
    record: Record,
    beat_timer: Timer,
    forget_timer: Timer,
}

/// How this node's own heartbeats go; pure.
#[derive(Debug, Default)]
pub(super) struct Record {
    in_order_since: Option<Instant>,
    last: Option<Instant>,
}

impl Record {
    /// A heartbeat arrived.
    pub(super) fn beaten(&mut self, now: Instant, dead_after: Duration) {
        let in_time = self.last.is_some_and(|last| now.saturating_duration_since(last) < dead_after / 2);
        if !in_time {
            self.in_order_since = Some(now);
        }
        self.last = Some(now);
    }

    /// It did not.
    pub(super) fn missed(&mut self) {
        self.in_order_since = None;
        self.last = None;
    }

    /// Whether this node may judge others.
    pub(super) fn may_judge(&self, now: Instant, dead_after: Duration) -> bool {
        self.in_order_since.is_some_and(|since| now.saturating_duration_since(since) >= dead_after)
    }
}

impl Registry {
    fn db(&self) -> Db {
        self.database.control()
    }

    async fn beat(&self, state: &mut RegistryState) {
        if !self.database.state().borrow().is_up() {
            return state.record.missed();
        }
        let began = Instant::now();
        match self.say_and_look(state).await {
            Ok(()) => Signals::heartbeat(began.elapsed()),
            Err(error) => {
                state.record.missed();
                tracing::warn!(%error, "this node's sign of life did not arrive; the next one may");
            }
        }
    }

    async fn say_and_look(&self, state: &mut RegistryState) -> sqlx::Result<()> {
        let db = self.db();
        if !state.joined || !store::beat(&db, self.identity.id, state.node_state).await? {
            if state.joined {
                tracing::warn!("this node was declared dead and lives: it joins again");
            }
            store::join(&db, &self.identity, state.node_state).await?;
            state.joined = true;
        }
        let now = Instant::now();
        state.record.beaten(now, self.config.dead_after);
        if state.record.may_judge(now, self.config.dead_after) {
            let lost = store::lose(&db, self.identity.id, self.config.dead_after).await?;
            for (node, name) in &lost {
                tracing::warn!(%node, name, "a node was not seen for too long and counts as dead");
            }
            Signals::nodes_lost(lost.len());
        }
        self.room.learn(store::list(&db).await?);
        Ok(())
    }

    async fn forget(&self) {
        if let Err(error) = store::forget(&self.db(), RETENTION).await {
            tracing::warn!(%error, "old rows of nodes were not deleted");
        }
    }
}

impl Actor for Registry {
    type Message = RegistryMessage;
    type State = RegistryState;
    const KIND: &'static str = "node registry";
    const MAILBOX_MAX: usize = 64;

    async fn start(&self, cx: &Context<RegistryMessage>) -> Result<RegistryState, ActorError> {
        let beat_timer = cx.send_after(Duration::ZERO, RegistryMessage::Beat);
        let forget_timer = cx.send_after(FORGET_EVERY, RegistryMessage::Forget);
        // A registry that was restarted finds its row, in whatever state it is, and the node tells it anew
        // which one is right.
        Ok(RegistryState {
            node_state: *self.room.node_state.borrow(),
            joined: false,
            record: Record::default(),
            beat_timer,
            forget_timer,
        })
    }

    async fn handle(
        &self,
        cx: &Context<RegistryMessage>,
        message: RegistryMessage,
        state: &mut RegistryState,
    ) -> Result<(), ActorError> {
        match message {
            RegistryMessage::Enter(entered) => state.node_state = entered,
            RegistryMessage::Beat => {}
            RegistryMessage::Forget => {
                self.forget().await;
                state.forget_timer = cx.send_after(FORGET_EVERY, RegistryMessage::Forget);
                return Ok(());
            }
        }
        self.beat(state).await;
        state.beat_timer = cx.send_after(self.config.heartbeat, RegistryMessage::Beat);
        Ok(())
    }

    async fn stop(&self, _: &Context<RegistryMessage>, _: &mut RegistryState) {
        let db = self.db();
        let leaving = tokio::time::timeout(LEAVE_DEADLINE, store::leave(&db, self.identity.id)).await;
        if !matches!(leaving, Ok(Ok(()))) {
            tracing::warn!("this node could not say that it stops; others will find out");
        }
    }
}
