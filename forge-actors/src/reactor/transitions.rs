//! Transitions of clients that wait for runs in lanes.
//!
//! A client that has a slow query cannot advance to the snapshot of each tick. When all groups that hold the
//! client up run in batches of one snapshot, its transition to this snapshot is frozen: the other results of
//! that snapshot are kept, by reference, until the last of these runs has ended. So a client always has the
//! results of one snapshot, and advances at the pace of its slowest query; the others do not wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::delivery::Tick;
use super::frozen::FrozenTransition;
use super::group::{Delivered, GroupPhase};
use super::groups::SubscriptionTable;
use super::query_key::{BatchId, ClientId, GroupId, SubscriptionKey, keys_of};
use super::updates::TickUpdates;

impl SubscriptionTable {
    /// Freezes the transitions to the snapshot of `tick` of all clients that wait for its batches only.
    /// Called when all other runs of the tick have ended.
    pub(super) fn freeze_transitions(&mut self, tick: Tick) {
        let batches = self.lanes.batches.values().filter(|batch| batch.tick == tick);
        let groups = batches.flat_map(|batch| batch.groups());
        let members = groups.filter_map(|id| self.groups.get(&id)).flat_map(|group| &group.members);
        let mut clients: Vec<ClientId> = members.map(|key| key.client).collect();
        clients.sort_unstable();
        clients.dedup();
        for client in clients {
            if !self.frozen.contains_key(&client)
                && let Some(transition) = self.transition_of(client, tick)
            {
                self.frozen.insert(client, transition);
            }
        }
    }

    /// The transition of a client to the snapshot of `tick`, when nothing holds the client up but batches of
    /// this tick.
    fn transition_of(&self, client: ClientId, tick: Tick) -> Option<FrozenTransition> {
        let mut snapshot = None;
        let mut waits = BTreeSet::new();
        for (key, phase) in self.holders_of(client) {
            let GroupPhase::InLane(batch) = phase else { return None };
            let batch = self.lanes.batches.get(&batch).filter(|batch| batch.tick == tick)?;
            snapshot = Some(Arc::clone(&batch.snapshot));
            waits.insert(key);
        }
        let mut results = BTreeMap::new();
        for (key, subscription) in self.subscriptions.range(keys_of(client)) {
            let group = self.groups.get(&subscription.group).filter(|group| group.has_valid_result());
            if let Some(result) = group.and_then(|group| group.result.as_ref())
                && subscription.delivered != Delivered::Version(result.version)
            {
                results.insert(*key, Arc::clone(result));
            }
        }
        Some(FrozenTransition { tick, snapshot: snapshot?, results, waits })
    }

    /// Adds the result of a group, which has run in a batch, to the transitions that wait for the snapshot.
    pub(super) fn resolve_transitions(&mut self, group: GroupId, batch: BatchId) {
        let Some(tick) = self.lanes.batches.get(&batch).map(|batch| batch.tick) else { return };
        let Some(group) = self.groups.get(&group) else { return };
        let Some(result) = &group.result else { return };
        for key in &group.members {
            if let Some(frozen) = self.frozen.get_mut(&key.client).filter(|frozen| frozen.tick == tick) {
                frozen.waits.remove(key);
                frozen.results.insert(*key, Arc::clone(result));
            }
        }
    }

    /// Takes the transition of a client, once it waits for nothing.
    pub(super) fn take_resolved(&mut self, client: ClientId) -> Option<FrozenTransition> {
        self.frozen.get(&client).filter(|frozen| frozen.waits.is_empty())?;
        let transition = self.frozen.remove(&client)?;
        self.unpark(client);
        Some(transition)
    }

    /// Adds the results of a transition to `updates`, and records them as delivered.
    pub(super) fn deliver_transition(
        &mut self,
        client: ClientId,
        transition: FrozenTransition,
        updates: &mut TickUpdates,
    ) {
        let tick = transition.tick;
        for (key, result) in transition.results {
            self.deliver_result(key, &result, tick, updates);
        }
        // Whatever is newer follows in a later transition.
        let keys: Vec<SubscriptionKey> =
            self.subscriptions.range(keys_of(client)).map(|(key, _)| *key).collect();
        for key in keys {
            if !self.has_newest(key) {
                self.undelivered.insert(key);
            }
        }
    }

    fn has_newest(&self, key: SubscriptionKey) -> bool {
        let Some(subscription) = self.subscriptions.get(&key) else { return true };
        let group = self.groups.get(&subscription.group);
        let result = group.and_then(|group| group.result.as_ref());
        result.is_some_and(|result| subscription.delivered == Delivered::Version(result.version))
    }

    /// Ends the part of a subscription in its client's transition. A transition that waited for nothing else
    /// is dropped.
    pub(super) fn forget_frozen(&mut self, key: SubscriptionKey) {
        let Some(frozen) = self.frozen.get_mut(&key.client) else { return };
        frozen.results.remove(&key);
        frozen.waits.remove(&key);
        if frozen.waits.is_empty() {
            self.frozen.remove(&key.client);
        }
    }

    /// Drops the transition of a client, which then advances to a later snapshot.
    pub(super) fn drop_transition(&mut self, client: ClientId) {
        if self.frozen.remove(&client).is_some() {
            self.unpark(client);
        }
    }

    /// Drops the transitions that wait for a run which will not come: its batch was lost, what it read was
    /// rewritten, or its query was split in another snapshot.
    pub(super) fn drop_broken_transitions(&mut self) {
        let broken: Vec<ClientId> = self
            .frozen
            .iter()
            .filter(|(_, frozen)| !self.is_frozen_whole(frozen))
            .map(|(client, _)| *client)
            .collect();
        for client in broken {
            self.drop_transition(client);
        }
    }

    /// True when all that a transition waits for runs in its snapshot.
    pub(super) fn is_frozen_whole(&self, frozen: &FrozenTransition) -> bool {
        frozen.waits.iter().all(|key| {
            let subscription = self.subscriptions.get(key);
            let group = subscription.and_then(|subscription| self.groups.get(&subscription.group));
            let Some(GroupPhase::InLane(batch)) = group.map(|group| group.phase) else { return false };
            self.lanes.batches.get(&batch).is_some_and(|batch| batch.tick == frozen.tick)
        })
    }
}
