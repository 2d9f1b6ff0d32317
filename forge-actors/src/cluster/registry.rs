//! The actor that keeps this node's row in `forge_nodes` and reads the rows of the other nodes.
//!
//! ```text
//!   joining ──started──▶ active ──drain──▶ draining ──stopped──▶ dead
//!      └───────── no heartbeat for dead_after: another node writes ──▶ dead (lost)
//! ```
//!
//! A node that was declared dead but lives (its process was frozen, or only its own connection to the
//! database was down) finds no row for its next heartbeat and joins again. A node declares others dead only
//! when its own heartbeats have succeeded for `dead_after`: after an outage of the database the rows of all
//! nodes are old. The database sessions of a node that is declared dead are ended with it, so that its
//! transactions hold up nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::{tolerance, verdict};
use super::config::ClusterConfig;
use super::messages::RegistryMessage;
use super::shared::ClusterShared;
use super::signals::ClusterMetrics;
use super::store::{self, NodeIdentity};
use crate::db::clock::ClockDifference;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::error_chain::error_chain;
use crate::kernel::ids::NodeId;
use crate::kernel::node::{NodeInfo, NodeState};
use crate::kernel::time::secs;
use crate::subsystem::HealthVerdict;
use crate::supervise::{Actor, ActorError, Context, Timer};

/// Time for a node that stops to mark its row as dead.
const LEAVE_DEADLINE: Duration = secs(2);

/// Writes heartbeats, declares other nodes dead, and publishes the directory of nodes.
pub(super) struct Registry {
    pub(super) shared: Arc<ClusterShared>,
    pub(super) database: Database,
    pub(super) config: ClusterConfig,
    pub(super) identity: Arc<NodeIdentity>,
    pub(super) leeway: Option<Duration>,
}

pub(super) struct RegistryState {
    joined: bool,
    heartbeats: HeartbeatRecord,
    next_beat: Timer,
}

/// Whether this node's own heartbeats have succeeded lately. Pure.
#[derive(Debug, Default)]
pub(super) struct HeartbeatRecord {
    steady_since: Option<Instant>,
    last: Option<Instant>,
}

impl HeartbeatRecord {
    /// Records that a heartbeat was written.
    pub(super) fn succeeded(&mut self, now: Instant, dead_after: Duration) {
        let in_time = self.last.is_some_and(|last| now.saturating_duration_since(last) < dead_after / 2);
        if !in_time {
            self.steady_since = Some(now);
        }
        self.last = Some(now);
    }

    /// Records that a heartbeat was not written.
    pub(super) fn failed(&mut self) {
        self.steady_since = None;
        self.last = None;
    }

    /// Whether this node may declare others dead: its heartbeats have succeeded for `dead_after`.
    pub(super) fn may_declare_dead(&self, now: Instant, dead_after: Duration) -> bool {
        self.steady_since.is_some_and(|since| now.saturating_duration_since(since) >= dead_after)
    }
}

/// How long the most silent of the other nodes had sent no heartbeat when `own` sent its last one, by the
/// clock of the database.
fn silent_for(nodes: &[NodeInfo], own: NodeId) -> Duration {
    let Some(beat) = nodes.iter().find(|node| node.id == own).map(|own| own.seen_at) else {
        return Duration::ZERO;
    };
    let alive = nodes.iter().filter(|node| node.state != NodeState::Dead);
    alive.filter_map(|node| (beat - node.seen_at).to_std().ok()).max().unwrap_or_default()
}

impl Registry {
    fn db(&self) -> Db {
        self.database.control()
    }

    async fn beat(&self, state: &mut RegistryState) {
        if !self.database.state().borrow().is_up() {
            return state.heartbeats.failed();
        }
        let began = Instant::now();
        match self.write_and_read(state).await {
            Ok(()) => ClusterMetrics::heartbeat(began.elapsed()),
            Err(error) => {
                state.heartbeats.failed();
                let error = error_chain(&error);
                tracing::warn!(error, "the heartbeat of this node failed; it is retried");
            }
        }
    }

    async fn write_and_read(&self, state: &mut RegistryState) -> sqlx::Result<()> {
        let (db, node_state) = (self.db(), *self.shared.node_state.borrow());
        let clock = self.database.clock();
        let listed =
            if state.joined { store::beat(&db, self.identity.id, node_state, clock).await? } else { None };
        let mut nodes = match listed {
            Some(nodes) => nodes,
            None => {
                if state.joined {
                    tracing::warn!(
                        "this node was declared dead by another node while it ran; it joins again"
                    );
                }
                store::join(&db, &self.identity, node_state).await?;
                state.joined = true;
                store::list(&db).await?
            }
        };
        let now = Instant::now();
        state.heartbeats.succeeded(now, self.config.dead_after);
        let is_missed = silent_for(&nodes, self.identity.id) > self.config.dead_after;
        if is_missed && state.heartbeats.may_declare_dead(now, self.config.dead_after) {
            let lost = store::declare_dead(&db, self.identity.id, self.config.dead_after).await?;
            ClusterMetrics::nodes_lost(lost.len());
            for (node, name) in lost {
                tracing::warn!(%node, name, "a node sent no heartbeat for too long and was declared dead");
                self.end_sessions(node).await;
            }
            nodes = store::list(&db).await?;
        }
        self.shared.set_directory(nodes);
        self.judge_clock(&db, clock).await
    }

    /// Ends the database sessions of a node that was declared dead, so that its transactions hold no lock any
    /// longer. Without the right to do so they end by themselves (`database.idle_in_transaction_timeout`).
    async fn end_sessions(&self, node: NodeId) {
        match self.database.end_sessions_of(node, self.config.dead_after / 2).await {
            Ok(0) => tracing::info!(
                %node,
                "no silent database session of the dead node was found; locks that it holds end with \
                 database.idle_in_transaction_timeout"
            ),
            Ok(sessions) => tracing::info!(%node, sessions, "database sessions of a dead node ended"),
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(
                    %node,
                    error,
                    "the database sessions of a dead node could not be ended; its locks last until \
                     database.idle_in_transaction_timeout. If the right is missing, grant pg_signal_backend \
                     to this node's role"
                );
            }
        }
    }

    /// Publishes whether this node's clock is near enough to the database's for the times of tokens.
    async fn judge_clock(&self, db: &Db, clock: Option<ClockDifference>) -> sqlx::Result<()> {
        let tolerance = self.leeway.map(tolerance);
        let verdict = match (clock, tolerance) {
            (Some(difference), Some(tolerance)) if difference.certain > tolerance => {
                let others_agree = store::another_agrees(db, self.identity.id, tolerance).await?;
                verdict(difference, tolerance, others_agree)
            }
            _ => HealthVerdict::Well,
        };
        self.shared.clock.send_replace(verdict);
        Ok(())
    }
}

impl Actor for Registry {
    type Message = RegistryMessage;
    type State = RegistryState;
    const KIND: &'static str = "registry";
    const MAILBOX_MAX: usize = 64;

    async fn start(&self, cx: &Context<RegistryMessage>) -> Result<RegistryState, ActorError> {
        Ok(RegistryState {
            joined: false,
            heartbeats: HeartbeatRecord::default(),
            next_beat: cx.send_after(Duration::ZERO, RegistryMessage::Beat),
        })
    }

    async fn handle(
        &self,
        cx: &Context<RegistryMessage>,
        message: RegistryMessage,
        state: &mut RegistryState,
    ) -> Result<(), ActorError> {
        match message {
            RegistryMessage::Beat => {
                self.beat(state).await;
                state.next_beat = cx.send_after(self.config.heartbeat, RegistryMessage::Beat);
            }
        }
        Ok(())
    }

    async fn stop(&self, _: &Context<RegistryMessage>, _: &mut RegistryState) {
        let db = self.db();
        let leaving = tokio::time::timeout(LEAVE_DEADLINE, store::leave(&db, self.identity.id)).await;
        if !matches!(leaving, Ok(Ok(()))) {
            tracing::warn!("this node could not mark its row as dead; another node will declare it dead");
        }
    }
}
