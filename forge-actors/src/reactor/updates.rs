//! What clients are sent: all that is new to a client at once, or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::delivery::{Modification, MutationId, QueryResult, Tick};
use super::group::{Delivered, GroupPhase};
use super::groups::SubscriptionTable;
use super::query_key::{ClientId, SubscriptionKey, keys_of};

/// What one client is sent.
#[derive(Debug)]
pub(super) struct ClientUpdate {
    pub(super) client: ClientId,
    /// The tick whose snapshot the client advances to.
    pub(super) tick: Tick,
    pub(super) modifications: Vec<Modification>,
    pub(super) applied: Vec<MutationId>,
}

/// What clients are sent at one time.
#[derive(Debug, Default)]
pub(super) struct TickUpdates {
    /// At most one update per client and tick, ordered by client.
    pub(super) clients: Vec<ClientUpdate>,
    /// Subscriptions that end with the result that they get.
    pub(super) ended: Vec<SubscriptionKey>,
    /// First results of clients that named the version which they have, and have the same version.
    pub(super) resumed_unchanged: u64,
    /// First results of clients that named the version which they have, and get another one.
    pub(super) resumed_changed: u64,
}

impl TickUpdates {
    /// Adds mutations that were applied at `tick` to the update of a client whose results were added last.
    pub(super) fn add_applied(&mut self, client: ClientId, tick: Tick, applied: Vec<MutationId>) {
        if applied.is_empty() {
            return;
        }
        match self.clients.last_mut().filter(|update| update.client == client && update.tick == tick) {
            Some(update) => update.applied = applied,
            None => self.clients.push(ClientUpdate { client, tick, modifications: Vec::new(), applied }),
        }
    }
}

impl SubscriptionTable {
    /// True while a client cannot advance to the newest snapshot: a group that it has results of has yet to
    /// run, or its transition to an earlier snapshot is frozen.
    pub(super) fn is_held(&self, client: ClientId) -> bool {
        self.frozen.contains_key(&client) || self.holders_of(client).next().is_some()
    }

    /// True when a client may have to be sent something.
    pub(super) fn has_undelivered(&self, client: ClientId) -> bool {
        self.undelivered.range(keys_of(client)).next().is_some()
    }

    /// True when no client is held, because every group has run.
    fn holds_nobody(&self) -> bool {
        !self.has_stale_groups() && !self.lanes.has_waiting() && self.lanes.batches.is_empty()
    }

    fn was_delivered(&self, key: &SubscriptionKey) -> bool {
        let subscription = self.subscriptions.get(key);
        subscription.is_some_and(|subscription| matches!(subscription.delivered, Delivered::Version(_)))
    }

    /// True when all results that a client has are those of the last published snapshot.
    pub(super) fn is_up_to_date(&self, client: ClientId) -> bool {
        let mut due = self.undelivered.range(keys_of(client)).chain(self.parked.range(keys_of(client)));
        !due.any(|key| self.was_delivered(key)) && !self.is_held(client)
    }

    /// Takes what is new at `tick` for all clients that can advance. The others get everything together
    /// later.
    pub(super) fn take_updates(&mut self, tick: Tick) -> TickUpdates {
        let due = std::mem::take(&mut self.undelivered);
        self.update(due, tick)
    }

    /// [`take_updates`](Self::take_updates) for some clients, which are ordered.
    pub(super) fn take_updates_of(&mut self, clients: &BTreeSet<ClientId>, tick: Tick) -> TickUpdates {
        let of = |client: &ClientId| self.undelivered.range(keys_of(*client)).copied().collect::<Vec<_>>();
        let due: BTreeSet<SubscriptionKey> = clients.iter().flat_map(of).collect();
        for key in &due {
            self.undelivered.remove(key);
        }
        self.update(due, tick)
    }

    fn update(&mut self, due: BTreeSet<SubscriptionKey>, tick: Tick) -> TickUpdates {
        let mut updates = TickUpdates::default();
        let free = self.holds_nobody();
        let mut last = None;
        for key in due {
            // Keys come ordered by client.
            let held = match last {
                Some((client, held)) if client == key.client => held,
                _ => !free && self.is_held(key.client),
            };
            last = Some((key.client, held));
            if held {
                self.parked.insert(key);
                continue;
            }
            let Some(subscription) = self.subscriptions.get(&key) else { continue };
            let Some(group) = self.groups.get(&subscription.group) else { continue };
            match (group.phase, &group.result) {
                (_, Some(result)) if group.has_valid_result() => {
                    let result = Arc::clone(result);
                    self.deliver_result(key, &result, tick, &mut updates);
                }
                // The next result of the group brings the subscription back.
                (GroupPhase::Waiting | GroupPhase::InLane(_), _) => {}
                // A group that was joined during the tick runs in the next one.
                _ => {
                    self.undelivered.insert(key);
                }
            }
        }
        for key in &updates.ended {
            self.unsubscribe(*key);
        }
        updates
    }

    /// Adds a result to `updates`, unless the client has it, and records it as delivered.
    pub(super) fn deliver_result(
        &mut self,
        key: SubscriptionKey,
        result: &Arc<QueryResult>,
        tick: Tick,
        updates: &mut TickUpdates,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return };
        match subscription.delivered {
            Delivered::Version(version) if version == result.version => return,
            Delivered::Version(_) | Delivered::Nothing { kept: None } => {}
            Delivered::Nothing { kept: Some(kept) } if kept == result.version => {
                updates.resumed_unchanged += 1
            }
            Delivered::Nothing { kept: Some(_) } => updates.resumed_changed += 1,
        }
        subscription.delivered = Delivered::Version(result.version);
        if result.ends_subscription() {
            updates.ended.push(key);
        }
        let modification = Modification { subscription: key.id, result: Arc::clone(result) };
        match updates.clients.last_mut().filter(|update| update.client == key.client && update.tick == tick) {
            Some(update) => update.modifications.push(modification),
            None => updates.clients.push(ClientUpdate {
                client: key.client,
                tick,
                modifications: vec![modification],
                applied: Vec::new(),
            }),
        }
    }
}
