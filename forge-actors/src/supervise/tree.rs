//! The live tree of a node: which actor runs under which path, in which state, how many messages wait for it
//! and how many it has handled.
//!
//! There is one [`Tree`] per node, shared by `Arc`; several nodes in one process do not see each other. All
//! arithmetic happens when the tree is read ([`Tree::snapshot`]), so that running actors pay almost nothing
//! for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dashmap::DashMap;
use tokio::sync::watch;

use super::address::Address;
use super::duty::{DutyInfo, PeriodicStatus};
use super::entry::TreeEntry;
use super::journal::{ActorJournal, Crash, EventKind};
use super::spec::Strategy;
use super::supervisor::SupervisorCommand;
use super::work::CurrentWork;
use crate::kernel::integer::Int53;
use crate::kernel::time::Timestamp;

/// The actors of one node.
#[derive(Debug, Default)]
pub struct Tree {
    entries: DashMap<Arc<str>, Arc<TreeEntry>>,
    /// How many paths were ever entered.
    entered: AtomicU64,
    journal: ActorJournal,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What happened to the actors: lifecycle events and crashes.
    pub fn journal(&self) -> &ActorJournal {
        &self.journal
    }

    /// All actors, parents before children, siblings in the order of their first start.
    pub fn snapshot(&self) -> Vec<ActorInfo> {
        let mut actors: Vec<_> = self.entries.iter().map(|entry| entry.info()).collect();
        let orders: HashMap<_, _> =
            self.entries.iter().map(|entry| (Arc::clone(&entry.path), entry.order)).collect();
        // A path sorts by the order of each of its ancestors, from the root down, and then by its own.
        let position = |path: &str| -> Vec<Option<u64>> {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            ends.map(|end| orders.get(&path[..end]).copied()).collect()
        };
        actors.sort_by_cached_key(|actor| (position(&actor.path), actor.path.to_owned()));
        actors
    }

    /// One actor.
    pub fn get(&self, path: &str) -> Option<ActorInfo> {
        self.entries.get(path).map(|entry| entry.info())
    }

    /// Shows the results of a periodic duty with the actor at `path`.
    pub(super) fn set_duty(&self, path: &str, status: impl FnOnce() -> watch::Receiver<PeriodicStatus>) {
        if let Some(entry) = self.entries.get(path) {
            entry.set_duty(status);
        }
    }

    /// Where the supervisor at `path` takes commands; `None` when there is no supervisor.
    pub(super) fn commands(&self, path: &str) -> Option<Address<SupervisorCommand>> {
        self.entries.get(path).and_then(|entry| entry.commands().cloned())
    }

    /// The entry of `path`, made when there is none; an entry that exists keeps its counters.
    pub(super) fn enter(&self, path: &str) -> Arc<TreeEntry> {
        let path: Arc<str> = path.into();
        Arc::clone(
            &self
                .entries
                .entry(Arc::clone(&path))
                .or_insert_with(|| Arc::new(TreeEntry::new(path, self.entered.fetch_add(1, Relaxed)))),
        )
    }

    /// Forgets `path` and everything below it. Only the removal of a supervisor searches the tree for entries
    /// below it, so that one session among thousands is removed at the cost of one entry.
    pub(super) fn leave(&self, path: &str) {
        let supervised = self.entries.remove(path).is_some_and(|(_, entry)| entry.is_supervisor());
        if supervised {
            self.entries
                .retain(|known, _| known.strip_prefix(path).is_none_or(|rest| !rest.starts_with('/')));
        }
    }

    /// Marks every actor below `path` as stopped. For a supervisor that was killed: its children ended with
    /// it, and it could not record their ends.
    pub(super) fn ended_below(&self, path: &str) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
        {
            entry.set_unless_failed(ActorState::Stopped);
            entry.end_incarnation();
        }
    }

    /// Records that the actor of `entry` has started. The host calls this before the first message, because
    /// the supervisor learns of the start so late that the actor may have crashed again by then.
    pub(super) fn started(&self, entry: &TreeEntry) {
        entry.set_running();
        self.journal.record(&entry.path, EventKind::Started);
    }

    /// Records that the actor of `entry` crashed.
    pub(super) fn crashed(&self, entry: &TreeEntry, crash: Crash) {
        entry.set_failed(&crash.cause);
        let crash = Crash { restarts: entry.restarts(), ..crash };
        tracing::error!(
            path = %crash.path,
            kind = %crash.kind,
            message = crash.message,
            restarts = crash.restarts,
            cause = %crash.cause,
            "actor crashed"
        );
        let cause = crash.cause.lines().next().unwrap_or_default().to_owned();
        self.journal.record_crash(crash);
        self.journal.record(&entry.path, EventKind::Crashed { cause });
    }
}

/// State of an actor.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[serde(tag = "is")]
pub enum ActorState {
    /// Its `start` runs.
    Starting,
    /// It handles messages.
    Running,
    /// It crashed, or was stopped because a sibling crashed, and starts again.
    Waiting {
        /// When it starts again.
        until: Timestamp,
    },
    /// It was asked to stop and has not ended yet.
    Stopping,
    /// It ended in order, or was killed by its supervisor.
    Stopped,
    /// It crashed. The supervisor has not decided about a restart yet, or does not restart it.
    Failed,
}

/// The message that an actor is handling.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentMessage {
    /// Name of the message's variant.
    pub name: String,
    /// Milliseconds since its handling began, to the clock's tick (1 to 4 ms).
    pub for_ms: Int53,
    /// What the actor works on, when it has said so.
    pub work: Option<CurrentWork>,
}

/// Strategy and remaining restart budget of a supervisor.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorInfo {
    /// Which siblings restart with a child.
    pub strategy: Strategy,
    /// Restarts that are left in the window before the supervisor itself fails.
    pub restarts_left: u32,
    /// Restarts that fit in one window.
    pub restarts_max: u32,
    /// Length of the sliding window in milliseconds.
    pub window_ms: Int53,
}

/// One actor at one moment. The counters of a running actor are not all read at the same instant.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct ActorInfo {
    /// Ids from the root down, for example `node/database/monitor`.
    pub path: String,
    /// Kind of the actor, as its type declares.
    pub kind: String,
    /// State of its life.
    pub state: ActorState,
    /// How often it was started again.
    pub restarts: Int53,
    /// Messages that wait or are being handled.
    pub mailbox_depth: Int53,
    /// Depth at which senders are refused.
    pub mailbox_max: Int53,
    /// Messages handled since its first start.
    pub handled: Int53,
    /// Messages handled per second between the last two readings that were at least a second apart; 0 at the
    /// first reading.
    pub rate: f64,
    /// Milliseconds spent in handling messages.
    pub busy_ms: Int53,
    /// The message that is being handled.
    pub current: Option<CurrentMessage>,
    /// Cause of the last crash.
    pub last_error: Option<String>,
    /// When it started last.
    pub started_at: Option<Timestamp>,
    /// Set for supervisors.
    pub supervisor: Option<SupervisorInfo>,
    /// Set for periodic duties.
    pub duty: Option<DutyInfo>,
}
