//! What the reactor's actors and its callers share. It outlives every incarnation of the ticker, so that no
//! client is lost with one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dashmap::DashMap;

use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::commit::{TableId, Xid};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::slot::Slot;
use crate::kernel::time::secs;
use crate::supervise::Address;

use super::config::ReactivityConfig;
use super::messages::{MutationId, Sink, SubscriptionId};
use super::poller::PollerMessage;
use super::question::{ClientId, Live, Persona, Place};
use super::ticker::TickerMessage;

/// One reactor.
pub(super) struct Node {
    pub(super) functions: Functions,
    pub(super) database: Database,
    pub(super) hints: HintHub,
    pub(super) config: ReactivityConfig,
    pub(super) clients: DashMap<ClientId, Arc<Attached>>,
    pub(super) counts: Counts,
    /// What clients asked for since the ticker looked last. A new subscription is counted against the limits
    /// before it lies here, and everything else is said of one that is.
    orders: Slot<Vec<Order>>,
    /// What was announced since the ticker looked last.
    heard: Slot<Heard>,
    clients_ever: AtomicU64,
    pub(super) addresses: OnceLock<(Address<TickerMessage>, Address<PollerMessage>)>,
}

/// What is counted for whoever looks.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) subscriptions: AtomicUsize,
    pub(super) groups: AtomicUsize,
    pub(super) ticks: AtomicU64,
    pub(super) executions: AtomicU64,
    pub(super) tick_us: AtomicU64,
    pub(super) lag_us: AtomicU64,
}

/// Announced commits.
#[derive(Debug)]
pub(super) struct Heard {
    /// The tables that they wrote.
    pub(super) tables: BTreeSet<TableId>,
    /// When the first of them was announced.
    pub(super) first: Instant,
}

impl Heard {
    pub(super) fn merge(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.first = self.first.min(other.first);
    }
}

/// A client, as the reactor knows it outside of its actors.
pub(super) struct Attached {
    pub(super) sink: Arc<dyn Sink>,
    /// Its subscriptions, counted against the limits.
    held: Slot<BTreeSet<SubscriptionId>>,
    /// Mutations of which it waits to see the effects.
    awaited: Slot<Vec<Awaited>>,
}

/// A mutation and the transaction that it committed; `None` wrote nothing.
pub(super) type Awaited = (MutationId, Option<Xid>);

/// What a client asks for.
pub(super) enum Order {
    Subscribe {
        place: Place,
        live: Live,
        version: Option<super::messages::Version>,
    },
    Unsubscribe(Place),
    /// It waits for a mutation, see [`Attached::reached`].
    Await(ClientId),
    Identify {
        client: ClientId,
        persona: Arc<Persona>,
    },
    Detach(ClientId),
}

impl Node {
    pub(super) fn new(
        functions: Functions,
        database: Database,
        hints: HintHub,
        config: ReactivityConfig,
    ) -> Arc<Self> {
        Arc::new(Self {
            functions,
            database,
            hints,
            config,
            clients: DashMap::new(),
            counts: Counts::default(),
            orders: Slot::new(),
            heard: Slot::new(),
            clients_ever: AtomicU64::new(0),
            addresses: OnceLock::new(),
        })
    }

    pub(super) fn attach(&self, sink: Arc<dyn Sink>) -> ClientId {
        let id = ClientId(self.clients_ever.fetch_add(1, Ordering::Relaxed));
        self.clients.insert(id, Arc::new(Attached { sink, held: Slot::new(), awaited: Slot::new() }));
        id
    }

    pub(super) fn detach(&self, id: ClientId) {
        if let Some((_, client)) = self.clients.remove(&id) {
            let held = client.held.try_take().map_or(0, |held| held.len());
            self.counts.subscriptions.fetch_sub(held, Ordering::AcqRel);
            self.order(Order::Detach(id));
        }
    }

    pub(super) fn client(&self, id: ClientId) -> Option<Arc<Attached>> {
        self.clients.get(&id).map(|client| Arc::clone(&client))
    }

    /// Takes a place for a subscription; one that the client has already keeps its.
    pub(super) fn hold(&self, place: Place) -> Result<(), Fault> {
        let Some(client) = self.client(place.client) else { return Ok(()) };
        let mut held = Ok(());
        client.held.put(|set| {
            let set = set.get_or_insert_default();
            if !set.contains(&place.id) {
                held = self.room_for_one_more(set.len());
                if held.is_ok() {
                    set.insert(place.id);
                }
            }
        });
        held
    }

    fn room_for_one_more(&self, of_client: usize) -> Result<(), Fault> {
        let refused = |limit: &'static str| Err(Fault::new(Code::Overloaded, limit).retry_after(secs(5)));
        if of_client >= self.config.client_subscriptions_max {
            return refused("the client has as many subscriptions as it may");
        }
        if self.counts.groups.load(Ordering::Relaxed) >= self.config.groups_max {
            return refused("the node has as many different live queries as it may");
        }
        let more = |taken| (taken < self.config.subscriptions_max).then_some(taken + 1);
        match self.counts.subscriptions.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(()),
            Err(_) => refused("the node has as many subscriptions as it may"),
        }
    }

    /// Gives the place back; false when there was none.
    pub(super) fn release(&self, place: Place) -> bool {
        let Some(client) = self.client(place.client) else { return false };
        let mut released = false;
        client.held.put(|set| released = set.as_mut().is_some_and(|set| set.remove(&place.id)));
        if released {
            self.counts.subscriptions.fetch_sub(1, Ordering::AcqRel);
        }
        released
    }

    /// Leaves an order for the ticker, and wakes it when it was the first. While the ticker restarts there is
    /// nobody to wake: it looks by itself when it starts.
    pub(super) fn order(&self, order: Order) {
        let mut first = false;
        self.orders.put(|orders| {
            first = orders.is_none();
            orders.get_or_insert_default().push(order);
        });
        if first {
            self.tell_ticker(TickerMessage::Look);
        }
    }

    pub(super) fn take_orders(&self) -> Vec<Order> {
        self.orders.try_take().unwrap_or_default()
    }

    /// Notes announced commits, and wakes the ticker when they are the first.
    pub(super) fn hear(&self, heard: Heard) {
        let mut first = false;
        self.heard.put(|held| match held {
            Some(held) => held.merge(heard),
            None => (first, *held) = (true, Some(heard)),
        });
        if first {
            self.tell_ticker(TickerMessage::Heard);
        }
    }

    pub(super) fn take_heard(&self) -> Option<Heard> {
        self.heard.try_take()
    }

    pub(super) fn has_subscriptions(&self) -> bool {
        self.counts.subscriptions.load(Ordering::Acquire) > 0
    }

    pub(super) fn tell_poller(&self, message: PollerMessage) {
        if let Some((_, poller)) = self.addresses.get() {
            // A poller that restarts looks at once.
            let _restarting = poller.cast(message);
        }
    }

    pub(super) fn tell_ticker(&self, message: TickerMessage) {
        if let Some((ticker, _)) = self.addresses.get() {
            // A ticker that restarts runs everything anew.
            let _restarting = ticker.cast(message);
        }
    }
}

impl Attached {
    pub(super) fn expect(&self, awaited: Awaited) {
        self.awaited.put(|list| list.get_or_insert_default().push(awaited));
    }

    pub(super) fn is_waiting(&self) -> bool {
        let mut waiting = false;
        self.awaited.put(|list| waiting = list.as_ref().is_some_and(|list| !list.is_empty()));
        waiting
    }

    /// Takes the mutations whose effects are there, in order.
    pub(super) fn reached(&self, contains: impl Fn(Xid) -> bool) -> Vec<MutationId> {
        let mut reached = Vec::new();
        self.awaited.put(|list| {
            let there = |awaited: &Awaited| awaited.1.is_none_or(&contains);
            if let Some(list) = list {
                reached.extend(list.extract_if(.., |awaited| there(awaited)).map(|(mutation, _)| mutation));
            }
        });
        reached
    }
}
