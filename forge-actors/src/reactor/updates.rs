//! What clients are sent at the end of a tick: all that is new to a client at once, or nothing.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::delivery::{Modification, MutationId};
use super::groups::{Delivered, GroupPhase, SubscriptionTable, keys_of};
use super::query_key::{ClientId, SubscriptionKey};

/// What one client is sent.
#[derive(Debug)]
pub(super) struct ClientUpdate {
    pub(super) client: ClientId,
    pub(super) modifications: Vec<Modification>,
    pub(super) applied: Vec<MutationId>,
}

/// What all clients are sent at the end of one tick.
#[derive(Debug, Default)]
pub(super) struct TickUpdates {
    /// At most one update per client, ordered by client.
    pub(super) clients: Vec<ClientUpdate>,
    /// Subscriptions that end with the result that they get.
    pub(super) ended: Vec<SubscriptionKey>,
    /// First results of clients that named the version which they have, and have the same version.
    pub(super) resumed_unchanged: u64,
    /// First results of clients that named the version which they have, and get another one.
    pub(super) resumed_changed: u64,
}

impl SubscriptionTable {
    /// The clients that have results of a stale group: a subscription of theirs joined the group while the
    /// tick ran. Other subscriptions of these clients cannot advance alone, so they are sent nothing in this
    /// tick.
    pub(super) fn inconsistent_clients(&self) -> HashSet<ClientId> {
        let groups = self.stale_groups().filter_map(|id| self.groups.get(&id));
        let members = groups.flat_map(|group| &group.members);
        members.filter(|key| self.was_delivered(key)).map(|key| key.client).collect()
    }

    fn was_delivered(&self, key: &SubscriptionKey) -> bool {
        let subscription = self.subscriptions.get(key);
        subscription.is_some_and(|subscription| matches!(subscription.delivered, Delivered::Version(_)))
    }

    fn is_stale(&self, key: &SubscriptionKey) -> bool {
        let group = self.subscriptions.get(key).and_then(|subscription| self.groups.get(&subscription.group));
        group.is_some_and(|group| group.phase == GroupPhase::Stale)
    }

    /// True when all results that a client has are those of the last published snapshot.
    pub(super) fn is_up_to_date(&self, client: ClientId) -> bool {
        if self.undelivered.range(keys_of(client)).any(|key| self.was_delivered(key)) {
            return false;
        }
        if !self.has_stale_groups() {
            return true;
        }
        let mut keys = self.subscriptions.range(keys_of(client)).map(|(key, _)| key);
        !keys.any(|key| self.is_stale(key) && self.was_delivered(key))
    }

    /// Takes what is new for all clients that are not `inconsistent`. Those are left in `undelivered`, and
    /// get everything together in a later tick.
    pub(super) fn take_updates(&mut self, inconsistent: &HashSet<ClientId>) -> TickUpdates {
        let mut updates = TickUpdates::default();
        let mut left = BTreeSet::new();
        for key in std::mem::take(&mut self.undelivered) {
            if inconsistent.contains(&key.client) || !self.update(key, &mut updates) {
                left.insert(key);
            }
        }
        self.undelivered = left;
        for key in &updates.ended {
            self.unsubscribe(*key);
        }
        updates
    }

    /// Adds the result of a subscription to `updates`, unless the client has it. False when there is no
    /// result yet: a group that was joined during the tick has its first run in the next one.
    fn update(&mut self, key: SubscriptionKey, updates: &mut TickUpdates) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return true };
        let Some(group) = self.groups.get(&subscription.group) else { return true };
        let Some(result) = group.result.as_ref().filter(|_| group.phase != GroupPhase::Stale) else {
            return false;
        };
        match subscription.delivered {
            Delivered::Version(version) if version == result.version => return true,
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
        // Keys come ordered by client.
        match updates.clients.last_mut().filter(|update| update.client == key.client) {
            Some(update) => update.modifications.push(modification),
            None => updates.clients.push(ClientUpdate {
                client: key.client,
                modifications: vec![modification],
                applied: Vec::new(),
            }),
        }
        true
    }
}
