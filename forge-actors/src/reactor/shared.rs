//! State that the reactor's actors and their callers share. It outlives every incarnation of the ticker, so
//! that no client is lost when the ticker restarts.
//!
//! | field | written by | how readers are woken |
//! |---|---|---|
//! | `clients` | [`Client`](super::Client): attach, detach | by the command that follows |
//! | `commands` | [`Client`](super::Client) | `TickerMessage::CommandsLeft`, when the list was empty |
//! | `hint` | the poller | `TickerMessage::Hinted`, when there was none |
//! | `counters.subscriptions` | [`Client`](super::Client) and the ticker | not at all |
//! | other `counters` | the ticker | not at all |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;

use crate::change::HintHub;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::secs;
use crate::supervise::Address;

use super::delivery::{AwaitedCommit, MutationId, Sink, SubscriptionId};
use super::messages::{ClientCommand, PollerMessage, TickerMessage};
use super::query_key::{ClientId, SubscriptionKey};
use super::step::PendingHint;
use super::tick::QueryExecutor;

/// Commands that wait for the ticker; while there are so many, further subscriptions are refused. The ticker
/// takes all of them with each message, so there are only so many when it gets no time.
const COMMANDS_MAX: usize = 64 * 1024;

pub(super) struct ReactorShared {
    pub(super) executor: QueryExecutor,
    pub(super) hints: HintHub,
    pub(super) ticker: Address<TickerMessage>,
    pub(super) poller: Address<PollerMessage>,
    pub(super) clients: DashMap<ClientId, Arc<AttachedClient>>,
    pub(super) counters: ReactorCounters,
    /// Commands that the ticker has not taken yet. While there are [`COMMANDS_MAX`], subscriptions are
    /// refused; the other commands are never refused, and follow from subscriptions, clients and commits.
    commands: MergeSlot<Vec<ClientCommand>>,
    /// Hints that the ticker has not taken yet.
    hint: MergeSlot<PendingHint>,
    clients_attached: AtomicU64,
}

/// The part of a dashboard in the live queries of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemStats {
    /// Clients that have no other subscriptions.
    pub clients: usize,
    /// Subscriptions to `forge.*`.
    pub subscriptions: usize,
    /// Groups of those subscriptions.
    pub groups: usize,
}

/// Figures for limits, statistics and metrics.
#[derive(Default)]
pub(super) struct ReactorCounters {
    pub(super) subscriptions: AtomicUsize,
    pub(super) groups: AtomicUsize,
    pub(super) ticks: AtomicU64,
    /// The tick that was delivered last. Lost ticks have numbers too.
    pub(super) last_tick: AtomicU64,
    pub(super) application_ticks: AtomicU64,
    pub(super) system_groups: AtomicUsize,
    pub(super) executions: AtomicU64,
    pub(super) tick_us: AtomicU64,
    pub(super) lag_us: AtomicU64,
    /// When `lag_us` was measured.
    pub(super) lag_at: ArcSwapOption<Instant>,
}

/// What is kept of a client outside of the actors.
pub(super) struct AttachedClient {
    pub(super) sink: Arc<dyn Sink>,
    /// The subscriptions that have a place in the limits, and whether each is one to the node's own queries.
    places: MergeSlot<BTreeMap<SubscriptionId, bool>>,
    /// The mutations that the client awaits. They are kept here until they are delivered as applied, so that
    /// they are still awaited after a restart of the ticker.
    awaited: MergeSlot<Vec<AwaitedCommit>>,
}

impl ReactorShared {
    pub(super) fn new(
        executor: QueryExecutor,
        hints: HintHub,
        ticker: Address<TickerMessage>,
        poller: Address<PollerMessage>,
    ) -> Self {
        Self {
            executor,
            hints,
            ticker,
            poller,
            clients: DashMap::new(),
            counters: ReactorCounters::default(),
            commands: MergeSlot::new(),
            hint: MergeSlot::new(),
            clients_attached: AtomicU64::new(0),
        }
    }

    pub(super) fn attach(&self, sink: Arc<dyn Sink>) -> ClientId {
        let id = ClientId(self.clients_attached.fetch_add(1, Ordering::Relaxed));
        let client = AttachedClient { sink, places: MergeSlot::new(), awaited: MergeSlot::new() };
        self.clients.insert(id, Arc::new(client));
        id
    }

    pub(super) fn detach(&self, id: ClientId) {
        if let Some((_, client)) = self.clients.remove(&id) {
            let places = client.places.try_take().map_or(0, |places| places.len());
            self.counters.subscriptions.fetch_sub(places, Ordering::AcqRel);
            self.command(ClientCommand::Detach(id));
        }
    }

    /// The part of the node's own queries in the statistics. Looks at every client, so it is for readers of
    /// statistics only.
    pub(super) fn system_stats(&self) -> SystemStats {
        let groups = self.counters.system_groups.load(Ordering::Relaxed);
        let mut stats = SystemStats { groups, ..SystemStats::default() };
        for client in &self.clients {
            let (system, all) = client.count_subscriptions();
            stats.subscriptions += system;
            stats.clients += usize::from(all > 0 && system == all);
        }
        stats
    }

    pub(super) fn client(&self, id: ClientId) -> Option<Arc<AttachedClient>> {
        self.clients.get(&id).map(|client| Arc::clone(&client))
    }

    /// Takes a place in the limits for a subscription. A subscription that has a place keeps it.
    pub(super) fn take_place(&self, key: SubscriptionKey, system: bool) -> Result<(), Fault> {
        if self.commands_waiting() >= COMMANDS_MAX {
            let message = "the node is at its limit of subscriptions that wait to be taken up";
            return Err(Fault::new(Code::Overloaded, message).retry_after(secs(1)));
        }
        let Some(client) = self.client(key.client) else { return Ok(()) };
        let mut taken = Ok(());
        client.places.put(|places| {
            let places = places.get_or_insert_default();
            if !places.contains_key(&key.id) {
                taken = self.count_subscription(places.len());
                if taken.is_ok() {
                    places.insert(key.id, system);
                }
            }
        });
        taken
    }

    /// Counts one more subscription of a client that has `of_client`, unless a limit is reached.
    fn count_subscription(&self, of_client: usize) -> Result<(), Fault> {
        let refused = |limit: &'static str, help: &'static str| {
            Err(Fault::new(Code::Overloaded, limit).with_help(help).retry_after(secs(5)))
        };
        let limits = &self.executor.config;
        if of_client >= limits.client_subscriptions_max {
            return refused(
                "the client is at its limit of subscriptions",
                "end some, or raise `reactivity.client_subscriptions_max`",
            );
        }
        if self.counters.groups.load(Ordering::Relaxed) >= limits.groups_max {
            return refused(
                "the node is at its limit of different live queries",
                "try again after `retryAfterMs`, or raise `reactivity.groups_max`",
            );
        }
        let more = |taken| (taken < limits.subscriptions_max).then_some(taken + 1);
        match self.counters.subscriptions.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(()),
            Err(_) => refused(
                "the node is at its limit of subscriptions",
                "try again after `retryAfterMs`, or raise `reactivity.subscriptions_max`",
            ),
        }
    }

    /// Gives the place of a subscription back. False when the subscription had none.
    pub(super) fn release_place(&self, key: SubscriptionKey) -> bool {
        let Some(client) = self.client(key.client) else { return false };
        let mut released = false;
        client
            .places
            .put(|places| released = places.as_mut().is_some_and(|places| places.remove(&key.id).is_some()));
        if released {
            self.counters.subscriptions.fetch_sub(1, Ordering::AcqRel);
        }
        released
    }

    pub(super) fn has_subscriptions(&self) -> bool {
        self.counters.subscriptions.load(Ordering::Acquire) > 0
    }

    /// Leaves a command for the ticker, and wakes the ticker when the list was empty. A ticker that restarts
    /// takes the list when it starts.
    pub(super) fn command(&self, command: ClientCommand) {
        let mut first = false;
        self.commands.put(|commands| {
            first = commands.is_none();
            commands.get_or_insert_default().push(command);
        });
        if first {
            self.ticker.notify(TickerMessage::CommandsLeft);
        }
    }

    fn commands_waiting(&self) -> usize {
        let mut waiting = 0;
        self.commands.put(|commands| waiting = commands.as_ref().map_or(0, Vec::len));
        waiting
    }

    pub(super) fn take_commands(&self) -> Vec<ClientCommand> {
        self.commands.try_take().unwrap_or_default()
    }

    /// Leaves a hint for the ticker, and wakes the ticker when there was none.
    pub(super) fn hint(&self, hint: PendingHint) {
        let mut first = false;
        self.hint.put(|pending| match pending {
            Some(pending) => pending.merge(hint),
            None => {
                first = true;
                *pending = Some(hint);
            }
        });
        if first {
            self.ticker.notify(TickerMessage::Hinted);
        }
    }

    pub(super) fn take_hint(&self) -> Option<PendingHint> {
        self.hint.try_take()
    }
}

impl AttachedClient {
    /// The subscriptions to the node's own queries, and all subscriptions.
    fn count_subscriptions(&self) -> (usize, usize) {
        let mut counted = (0, 0);
        self.places.put(|places| {
            if let Some(places) = places {
                counted = (places.values().filter(|system| **system).count(), places.len());
            }
        });
        counted
    }

    /// Adds a mutation that the client awaits.
    pub(super) fn await_commit(&self, commit: AwaitedCommit) {
        self.awaited.put(|awaited| awaited.get_or_insert_default().push(commit));
    }

    /// The mutations that the client awaits.
    pub(super) fn awaited(&self) -> Vec<AwaitedCommit> {
        let mut awaited = Vec::new();
        self.awaited.put(|list| awaited.extend(list.iter().flatten()));
        awaited
    }

    /// Removes mutations that are delivered as applied.
    pub(super) fn remove_awaited(&self, applied: &[MutationId]) {
        self.awaited.put(|list| {
            if let Some(list) = list {
                list.retain(|commit| !applied.contains(&commit.mutation));
            }
        });
    }
}
