//! What clients ask for beside subscriptions: to hear of their mutations, and to be another caller.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::kernel::commit::Snapshot;

use super::delivery::{AwaitedCommit, Modification, MutationId, QueryResult, Tick};
use super::query_key::{CallerKey, ClientId, SubscriptionKey};
use super::state::ReactorState;
use super::step::ReactorEffect;
use super::updates::{ClientUpdate, TickUpdates};

impl ReactorState {
    pub(super) fn await_commits(
        &mut self,
        client: ClientId,
        awaited: Vec<AwaitedCommit>,
        effects: &mut Vec<ReactorEffect>,
    ) {
        self.awaited.insert(client, awaited);
        if self.table.is_up_to_date(client) {
            // A client without subscriptions has no results that could lack the effects.
            let applied = if self.table.has_subscriptions(client) {
                match self.published.as_ref().map(|(_, snapshot)| Arc::clone(snapshot)) {
                    Some(snapshot) => self.take_applied(client, &snapshot),
                    None => Vec::new(),
                }
            } else {
                self.awaited.remove(&client).into_iter().flatten().map(|commit| commit.mutation).collect()
            };
            if !applied.is_empty() {
                effects.push(ReactorEffect::Deliver(self.update_of(client, Vec::new(), applied)));
            }
        }
        if self.awaited.get(&client).is_some_and(Vec::is_empty) {
            self.awaited.remove(&client);
        }
        if self.awaited.contains_key(&client) {
            self.pace.request();
        }
    }

    /// Takes the awaited mutations of `client` whose effects `snapshot` contains, in their order.
    pub(super) fn take_applied(&mut self, client: ClientId, snapshot: &Snapshot) -> Vec<MutationId> {
        let Some(awaited) = self.awaited.get_mut(&client) else { return Vec::new() };
        let applied = awaited.extract_if(.., |commit| commit.xid.is_none_or(|xid| snapshot.contains(xid)));
        applied.map(|commit| commit.mutation).collect()
    }

    /// Adds to the updates of the published snapshot the mutations that it applied, for all clients that are
    /// at it.
    pub(super) fn add_applied(&mut self, updates: &mut TickUpdates) {
        let clients: BTreeSet<ClientId> = self.awaited.keys().copied().collect();
        self.add_applied_of(&clients, updates);
    }

    /// [`add_applied`](Self::add_applied) for some clients.
    pub(super) fn add_applied_of(&mut self, clients: &BTreeSet<ClientId>, updates: &mut TickUpdates) {
        let Some((tick, snapshot)) = self.published.as_ref().map(|(tick, it)| (*tick, Arc::clone(it))) else {
            return;
        };
        let with_results = updates.clients.len();
        for client in clients {
            if !self.awaited.contains_key(client) || self.table.is_held(*client) {
                continue;
            }
            let applied = self.take_applied(*client, &snapshot);
            if applied.is_empty() {
                continue;
            }
            match updates.clients[..with_results].binary_search_by_key(client, |update| update.client) {
                Ok(at) => updates.clients[at].applied = applied,
                Err(_) => {
                    let modifications = Vec::new();
                    updates.clients.push(ClientUpdate { client: *client, tick, modifications, applied });
                }
            }
        }
        self.awaited.retain(|_, awaited| !awaited.is_empty());
    }

    /// True when a later snapshot would bring an awaited mutation. A client that is held hears of it when it
    /// advances.
    pub(super) fn awaits_snapshot(&self) -> bool {
        self.awaited.keys().any(|client| !self.table.is_held(*client))
    }

    /// An update of one client at the published snapshot.
    fn update_of(
        &self,
        client: ClientId,
        modifications: Vec<Modification>,
        applied: Vec<MutationId>,
    ) -> TickUpdates {
        let tick = self.published.as_ref().map_or(Tick(0), |(tick, _)| *tick);
        let clients = vec![ClientUpdate { client, tick, modifications, applied }];
        TickUpdates { clients, ..TickUpdates::default() }
    }

    pub(super) fn identify(
        &mut self,
        client: ClientId,
        caller: &Arc<CallerKey>,
        refused: Vec<(SubscriptionKey, Arc<QueryResult>)>,
        effects: &mut Vec<ReactorEffect>,
    ) {
        let mut modifications = Vec::with_capacity(refused.len());
        let mut ended = Vec::with_capacity(refused.len());
        for (key, result) in refused {
            if let Some(subscription) = self.table.unsubscribe(key) {
                let handler = Arc::clone(&subscription.query.name);
                effects.push(ReactorEffect::LogError { handler, result: Arc::clone(&result) });
                modifications.push(Modification { subscription: key.id, result });
                ended.push(key);
            }
        }
        // Its results are those of the former caller.
        self.table.drop_transition(client);
        self.table.identify(client, caller);
        if !ended.is_empty() {
            effects.push(ReactorEffect::Release(ended));
            effects.push(ReactorEffect::Deliver(self.update_of(client, modifications, Vec::new())));
        }
        self.pace.request();
    }
}
