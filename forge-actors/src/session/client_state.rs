//! What one client has been sent, what it is to be sent next, and the one frame in between.
//!
//! ```text
//!   open ──▶ subscription ──deliver──▶ newest result pending ──transition──▶ version delivered
//!                 ▲                        │  a newer result replaces it        │
//!                 └── reopen (another id, the delivered version is kept) ◀──────┘
//! ```
//!
//! All decisions are pure. The reactor, the session's actor and the socket's task reach this state through
//! the [`SendBuffer`](super::send_buffer).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::limits::SHARED_BYTES_LEAST;
use crate::reactor::{Modification, MutationId, QueryResult, SubscriptionId, Tick, Version};

/// Bytes of a transition around its entries, at most.
const FRAME_BYTES: usize = 128;
/// Bytes of an entry of a transition around its result, at most.
const MOD_BYTES: usize = 64;
/// Bytes of an entry with an error around the error's message and details, at most.
const ERROR_BYTES: usize = 256;
/// Bytes of an applied mutation in a transition, at most.
const APPLIED_BYTES: usize = 11;
/// Bytes of a byte of text in JSON, at most: `\u001f`.
const ESCAPED_BYTES: usize = 6;

/// The subscriptions of one client, and the results that the client has not been sent yet.
///
/// Limits: one pending result for each subscription (`sessions.subscriptions_max`), replaced by a newer one;
/// one applied mutation for each that the session awaits (`sessions.mutations_waiting_max`).
#[derive(Debug, Default)]
pub(super) struct ClientState {
    /// The snapshot that the client has been brought to: `to` of the last transition.
    delivered_tick: u64,
    /// Boxed, because a node of the map has space for eleven entries, and most clients have few.
    subscriptions: BTreeMap<SubscriptionId, Box<SentSubscription>>,
    /// Subscriptions that were reopened and have no result yet. Until they have, no transition is made: of
    /// two results that belong together the client would see one from before and one from after a change.
    reopened: BTreeSet<SubscriptionId>,
    /// While true no transition is made.
    held: bool,
    pending: PendingFrame,
}

/// A subscription, and the version of its result that the client has.
#[derive(Debug)]
struct SentSubscription {
    /// The number that the client gave the subscription.
    client_subscription: u32,
    version: Option<Version>,
}

/// The next frame: the newest result of each subscription that has another one than the client.
#[derive(Debug, Default)]
struct PendingFrame {
    tick: u64,
    results: BTreeMap<SubscriptionId, Arc<QueryResult>>,
    applied: Vec<MutationId>,
}

/// A subscription to open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpenedSubscription {
    /// The session's own id, never used before.
    pub(super) id: SubscriptionId,
    /// The number that the client gave the subscription.
    pub(super) client_subscription: u32,
    /// The version of the result that the client says it has.
    pub(super) version: Option<Version>,
    /// The id under which the same subscription was open until now. The client keeps what it was sent under
    /// that id.
    pub(super) replaces: Option<SubscriptionId>,
}

/// A frame that brings the client from one snapshot to a later one.
#[derive(Debug)]
pub(super) struct TransitionFrame {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) mods: Vec<ResultMod>,
    pub(super) applied: Vec<MutationId>,
    /// Bytes of the frame, at most.
    pub(super) bytes: usize,
}

/// One subscription's entry in a transition.
#[derive(Debug)]
pub(super) struct ResultMod {
    /// The number that the client gave the subscription.
    pub(super) client_subscription: u32,
    pub(super) change: ResultChange,
    pub(super) result: Arc<QueryResult>,
}

/// What a subscription's entry contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResultChange {
    Snapshot,
    /// The client has this version already.
    Unchanged,
    Error,
    /// The result is larger than the client may be sent; the client gets PAYLOAD_TOO_LARGE instead.
    TooLarge,
}

impl ResultMod {
    /// The bytes of the result, when a frame shares them instead of copying them.
    pub(super) fn shared_bytes(&self) -> Option<usize> {
        let data = self.result.outcome.as_ref().ok()?;
        let is_shared = self.change == ResultChange::Snapshot && data.len() >= SHARED_BYTES_LEAST;
        is_shared.then_some(data.len())
    }
}

impl ClientState {
    /// Opens a subscription. A pending result of the subscription that is replaced is dropped: it may be of
    /// another caller.
    pub(super) fn open(&mut self, opened: OpenedSubscription) {
        let OpenedSubscription { id, client_subscription, mut version, replaces } = opened;
        if let Some(former) = replaces {
            version = self.remove(former).and_then(|delivered| delivered.version);
            self.reopened.insert(id);
        }
        self.subscriptions.insert(id, Box::new(SentSubscription { client_subscription, version }));
    }

    /// Closes a subscription; its pending result is dropped.
    pub(super) fn close(&mut self, id: SubscriptionId) {
        self.remove(id);
    }

    fn remove(&mut self, id: SubscriptionId) -> Option<Box<SentSubscription>> {
        self.reopened.remove(&id);
        self.pending.results.remove(&id);
        self.subscriptions.remove(&id)
    }

    /// Adds what the reactor delivers at `tick`. Results of subscriptions that are not open are dropped.
    /// Returns how many pending results were replaced.
    pub(super) fn deliver(&mut self, tick: Tick, mods: Vec<Modification>, applied: Vec<MutationId>) -> usize {
        self.pending.tick = self.pending.tick.max(tick.0);
        self.pending.applied.extend(applied);
        let mut replaced = 0;
        for Modification { subscription, result } in mods {
            if self.subscriptions.contains_key(&subscription) {
                self.reopened.remove(&subscription);
                replaced += usize::from(self.pending.results.insert(subscription, result).is_some());
            }
        }
        replaced
    }

    /// Adds the error of a subscription that the reactor did not accept.
    pub(super) fn refuse(&mut self, id: SubscriptionId, refusal: QueryResult) {
        self.deliver(Tick(0), vec![Modification { subscription: id, result: Arc::new(refusal) }], Vec::new());
    }

    /// While `held` results are kept back.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// The transition from what the client has to what is pending. `None` when nothing is pending, or results
    /// are kept back. Each result may have `bytes_max` bytes; their sum has no limit of its own, since all of
    /// them belong to one snapshot, and their bytes are shared and counted (`reactivity.results_bytes_max`).
    pub(super) fn transition(&mut self, bytes_max: usize) -> Option<TransitionFrame> {
        let PendingFrame { results, applied, .. } = &self.pending;
        if self.held || !self.reopened.is_empty() || (results.is_empty() && applied.is_empty()) {
            return None;
        }
        let PendingFrame { tick, results, applied } = std::mem::take(&mut self.pending);
        let from = self.delivered_tick;
        self.delivered_tick = from.max(tick);
        let bytes = FRAME_BYTES + APPLIED_BYTES * applied.len();
        let mut transition =
            TransitionFrame { from, to: self.delivered_tick, mods: Vec::new(), applied, bytes };
        transition.mods.reserve_exact(results.len());
        for (id, result) in results {
            let Some((client_subscription, change)) = self.deliver_result(id, &result, bytes_max) else {
                continue;
            };
            transition.bytes += bytes_of(change, &result);
            transition.mods.push(ResultMod { client_subscription, change, result });
        }
        Some(transition)
    }

    /// Records that the client has the result. A final error ends the subscription.
    fn deliver_result(
        &mut self,
        id: SubscriptionId,
        result: &QueryResult,
        bytes_max: usize,
    ) -> Option<(u32, ResultChange)> {
        let delivered = self.subscriptions.get_mut(&id)?;
        let client_subscription = delivered.client_subscription;
        let change = match &result.outcome {
            Ok(_) if delivered.version == Some(result.version) => ResultChange::Unchanged,
            Ok(data) if data.len() <= bytes_max => ResultChange::Snapshot,
            Ok(_) => ResultChange::TooLarge,
            Err(_) => ResultChange::Error,
        };
        delivered.version = match change {
            ResultChange::Snapshot | ResultChange::Unchanged => Some(result.version),
            ResultChange::Error | ResultChange::TooLarge => None,
        };
        if result.ends_subscription() {
            self.subscriptions.remove(&id);
        }
        Some((client_subscription, change))
    }
}

/// Bytes of an entry, at most.
fn bytes_of(change: ResultChange, result: &QueryResult) -> usize {
    match (change, &result.outcome) {
        (ResultChange::Snapshot, Ok(data)) => MOD_BYTES + data.len(),
        (ResultChange::Unchanged, _) => MOD_BYTES,
        (_, Err(fault)) => {
            let details = fault.details().map_or(0, |details| details.to_string().len());
            ERROR_BYTES + ESCAPED_BYTES * fault.message().len() + details
        }
        (ResultChange::TooLarge | ResultChange::Error, Ok(_)) => ERROR_BYTES,
    }
}
