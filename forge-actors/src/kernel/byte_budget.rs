//! Memory that all clients of a node share: a budget of bytes, of which one client can hold a part only.
//!
//! A client is what the owner of the budget takes for one: an address, or an identity. A [`Charge`] counts
//! bytes as used until it is dropped. There are three ways to one:
//! - [`BudgetClient::reserve`] is for bytes that do not exist yet. It waits until they fit.
//! - [`BudgetClient::try_reserve`] refuses what does not fit now.
//! - [`BudgetClient::charge`] is for bytes that exist already. It never waits, and may exceed the budget;
//!   [`BudgetClient::full`] tells beforehand whether such work should be refused.
//!
//! Invariants
//! - Reservations alone never exceed the budget, nor one client's part of it, but for the moment in which one
//!   replaces another ([`BudgetClient::try_reserve`]).
//! - The last eighth of both is kept for small reservations, so that those do not wait for large ones.
//! - Waiting reservations are tried in the order in which they came, and each that fits is granted: a smaller
//!   one may pass a larger one, and reservations of up to [`SMALL_BYTES_MAX`] pass all of them.
//! - Four clients that hold their whole parts use up the budget.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dashmap::DashMap;
use tokio::sync::oneshot;

/// One client may hold the budget divided by this number.
pub const CLIENT_PARTS: usize = 4;
/// Reservations up to this size may use all of the budget.
pub const SMALL_BYTES_MAX: usize = 16 * 1024;
/// Large reservations leave the budget divided by this number free.
const SMALL_PARTS: usize = 8;
/// Bytes are scarce when less than the budget divided by this number is free.
const SCARCE_PARTS: usize = 4;
/// Reservations that wait; one more is refused.
const WAITING_MAX: usize = 1_024;
/// Reservations of one client that wait; one more is refused.
const CLIENT_WAITING_MAX: usize = WAITING_MAX / CLIENT_PARTS;

/// The bytes of one node.
pub struct ByteBudget<K: Eq + Hash> {
    bytes_max: usize,
    used: AtomicUsize,
    /// Length of `waiters`, so that nothing is locked while nobody waits.
    waiting: AtomicUsize,
    waiters: Mutex<VecDeque<Waiter<K>>>,
    clients: DashMap<K, Weak<BudgetClient<K>>>,
}

/// A client's view of the budget: what it uses itself.
pub struct BudgetClient<K: Eq + Hash> {
    budget: Arc<ByteBudget<K>>,
    key: K,
    used: AtomicUsize,
}

/// Bytes that count as used until this is dropped.
pub struct Charge<K: Eq + Hash> {
    client: Arc<BudgetClient<K>>,
    bytes: usize,
}

/// Whose bytes are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetFull {
    /// The client's part.
    Client,
    /// The budget of the node.
    Node,
}

struct Waiter<K: Eq + Hash> {
    client: Arc<BudgetClient<K>>,
    bytes: usize,
    /// `None` once it is granted.
    grant: Option<oneshot::Sender<Charge<K>>>,
}

impl<K: Eq + Hash + Clone> ByteBudget<K> {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            waiters: Mutex::default(),
            clients: DashMap::new(),
        })
    }

    /// The view of the client `key`.
    pub fn client(self: &Arc<Self>, key: K) -> Arc<BudgetClient<K>> {
        let mut known = self.clients.entry(key.clone()).or_default();
        known.upgrade().unwrap_or_else(|| {
            let client = Arc::new(BudgetClient { budget: Arc::clone(self), key, used: AtomicUsize::new(0) });
            *known = Arc::downgrade(&client);
            client
        })
    }
}

impl<K: Eq + Hash> ByteBudget<K> {
    /// Bytes that are used now.
    pub fn used(&self) -> usize {
        self.used.load(SeqCst)
    }

    /// Grants what fits now.
    fn grant(&self) {
        let mut granted = Vec::new();
        let mut waiters = self.waiters();
        waiters.retain_mut(|waiter| {
            if waiter.grant.as_ref().is_none_or(oneshot::Sender::is_closed) {
                return false;
            }
            let Some(charge) = waiter.client.take(waiter.bytes, None) else { return true };
            granted.extend(waiter.grant.take().map(|grant| (grant, charge)));
            false
        });
        self.waiting.store(waiters.len(), SeqCst);
        drop(waiters);
        for (grant, charge) in granted {
            // The charge of a waiter that has gone comes back and is dropped, which grants it to the next.
            let _gone = grant.send(charge);
        }
    }

    fn waiters(&self) -> MutexGuard<'_, VecDeque<Waiter<K>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> BudgetClient<K> {
    /// What is used up, if anything is.
    pub fn full(&self) -> Option<BudgetFull> {
        if self.used.load(SeqCst) >= self.budget.bytes_max / CLIENT_PARTS {
            Some(BudgetFull::Client)
        } else {
            (self.budget.used.load(SeqCst) >= self.budget.bytes_max).then_some(BudgetFull::Node)
        }
    }

    /// True while less than a quarter of the client's part, or of the budget, is free: what holds bytes for
    /// longer than it should is to give them back.
    pub fn is_scarce(&self) -> bool {
        let scarce =
            |used: &AtomicUsize, bytes_max| used.load(SeqCst) > bytes_max / SCARCE_PARTS * (SCARCE_PARTS - 1);
        let budget = &self.budget;
        scarce(&self.used, budget.bytes_max / CLIENT_PARTS) || scarce(&budget.used, budget.bytes_max)
    }

    /// Which limit keeps `bytes` from fitting: the client's part or the budget.
    pub fn limit_reached(&self, bytes: usize) -> BudgetFull {
        let own = self.budget.bytes_max / CLIENT_PARTS;
        let fits = self.used.load(SeqCst).saturating_add(bytes) <= own - kept(own, bytes);
        if fits { BudgetFull::Node } else { BudgetFull::Client }
    }

    /// Charges bytes that exist already.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Charge<K> {
        self.used.fetch_add(bytes, SeqCst);
        self.budget.used.fetch_add(bytes, SeqCst);
        Charge { client: Arc::clone(self), bytes }
    }

    /// Charges `bytes` if they fit now, or will fit when `ending` is dropped, which the caller does next.
    /// Reservations that wait are passed, so this is for budgets in which nothing waits.
    ///
    /// # Errors
    /// What is used up.
    pub fn try_reserve(
        self: &Arc<Self>,
        bytes: usize,
        ending: Option<&Charge<K>>,
    ) -> Result<Charge<K>, BudgetFull> {
        self.take(bytes, ending).ok_or_else(|| self.limit_reached(bytes))
    }

    /// Waits until `bytes` fit, and charges them. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// Too many reservations wait already.
    pub async fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Charge<K>, BudgetFull> {
        let passes = bytes <= SMALL_BYTES_MAX || self.budget.waiting.load(SeqCst) == 0;
        if passes && let Some(charge) = self.take(bytes, None) {
            return Ok(charge);
        }
        self.enqueue(bytes)?.await.map_err(|_| BudgetFull::Node)
    }

    fn enqueue(self: &Arc<Self>, bytes: usize) -> Result<oneshot::Receiver<Charge<K>>, BudgetFull> {
        let (grant, granted) = oneshot::channel();
        let mut waiters = self.budget.waiters();
        waiters.retain(|waiter| !waiter.grant.as_ref().is_none_or(oneshot::Sender::is_closed));
        if waiters.iter().filter(|waiter| Arc::ptr_eq(&waiter.client, self)).count() >= CLIENT_WAITING_MAX {
            return Err(BudgetFull::Client);
        }
        if waiters.len() >= WAITING_MAX {
            return Err(BudgetFull::Node);
        }
        waiters.push_back(Waiter { client: Arc::clone(self), bytes, grant: Some(grant) });
        self.budget.waiting.store(waiters.len(), SeqCst);
        drop(waiters);
        // Bytes that were given back before the waiter stood in the queue were granted to nobody.
        self.budget.grant();
        Ok(granted)
    }

    /// Charges `bytes` if they fit without what `ending` counts.
    fn take(self: &Arc<Self>, bytes: usize, ending: Option<&Charge<K>>) -> Option<Charge<K>> {
        let add = |used: &AtomicUsize, bytes_max: usize, ending: usize| {
            let usable = (bytes_max - kept(bytes_max, bytes)).saturating_add(ending);
            let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= usable);
            used.fetch_update(SeqCst, SeqCst, fits).is_ok()
        };
        let own = ending.filter(|ending| Arc::ptr_eq(&ending.client, self)).map_or(0, |ending| ending.bytes);
        if !add(&self.used, self.budget.bytes_max / CLIENT_PARTS, own) {
            return None;
        }
        if !add(&self.budget.used, self.budget.bytes_max, ending.map_or(0, |ending| ending.bytes)) {
            self.used.fetch_sub(bytes, SeqCst);
            return None;
        }
        Some(Charge { client: Arc::clone(self), bytes })
    }
}

/// What a reservation of `bytes` leaves to smaller ones.
fn kept(bytes_max: usize, bytes: usize) -> usize {
    if bytes <= SMALL_BYTES_MAX { 0 } else { bytes_max / SMALL_PARTS }
}

impl<K: Eq + Hash> Charge<K> {
    /// The client that the bytes are charged to.
    pub fn client(&self) -> &BudgetClient<K> {
        &self.client
    }
}

impl<K: Eq + Hash> Drop for BudgetClient<K> {
    fn drop(&mut self) {
        self.budget.clients.remove_if(&self.key, |_, known| known.strong_count() == 0);
    }
}

impl<K: Eq + Hash> fmt::Debug for Charge<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> Drop for Charge<K> {
    fn drop(&mut self) {
        let budget = &self.client.budget;
        self.client.used.fetch_sub(self.bytes, SeqCst);
        budget.used.fetch_sub(self.bytes, SeqCst);
        // A waiter enters the queue before it looks at what is used, and here it is the other way round, so
        // one of both sees the other.
        if budget.waiting.load(SeqCst) > 0 {
            budget.grant();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const KIB: usize = 1024;
    /// Of 1 MiB, large reservations get 896 KiB; those of one client 224 KiB.
    const BYTES_MAX: usize = 1024 * KIB;
    const LARGE: usize = 112 * KIB;

    fn clients(budget: &Arc<ByteBudget<u8>>, count: u8) -> Vec<Arc<BudgetClient<u8>>> {
        (0..count).map(|key| budget.client(key)).collect()
    }

    fn now(client: &Arc<BudgetClient<u8>>, bytes: usize) -> Option<Charge<u8>> {
        client.reserve(bytes).now_or_never().map(|reserved| reserved.expect("few wait"))
    }

    #[test]
    fn one_client_holds_a_part_and_leaves_some_of_it_to_small_reservations() {
        let budget = ByteBudget::new(BYTES_MAX);
        let clients = clients(&budget, 2);
        let held = [now(&clients[0], LARGE), now(&clients[0], LARGE)];
        assert!(held.iter().all(Option::is_some));
        assert!(now(&clients[0], SMALL_BYTES_MAX + 1).is_none(), "its part is used");
        assert_eq!(clients[0].limit_reached(SMALL_BYTES_MAX + 1), BudgetFull::Client);
        let small = now(&clients[0], SMALL_BYTES_MAX).expect("what is kept for small ones");
        assert!(now(&clients[1], LARGE).is_some(), "another client does not wait");
        assert_eq!(budget.used(), 2 * LARGE + SMALL_BYTES_MAX);
        drop((held, small));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_given_back_goes_to_those_that_wait_in_order() {
        let budget = ByteBudget::new(BYTES_MAX);
        let clients = clients(&budget, 6);
        let mut held: Vec<_> = (0..8).map(|at| now(&clients[at / 2], LARGE).expect("it fits")).collect();
        let (mut own, mut first, mut second) = (
            Box::pin(clients[0].reserve(LARGE)),
            Box::pin(clients[4].reserve(LARGE)),
            Box::pin(clients[5].reserve(LARGE)),
        );
        assert!(own.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(now(&clients[5], SMALL_BYTES_MAX).is_some(), "a small one passes");
        drop(held.pop());
        assert!(own.as_mut().now_or_never().is_none(), "its client holds its part already");
        let granted = first.as_mut().now_or_never().expect("the first of the others").expect("few wait");
        assert!(second.as_mut().now_or_never().is_none());
        drop(granted);
        assert!(second.as_mut().now_or_never().is_some());
        drop(held.swap_remove(0));
        assert!(own.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_reservation_that_is_given_up_holds_nothing() {
        let budget = ByteBudget::new(BYTES_MAX);
        let clients = clients(&budget, 1);
        let held = [now(&clients[0], LARGE), now(&clients[0], LARGE)];
        let mut waiting = Box::pin(clients[0].reserve(LARGE));
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut granted = Box::pin(clients[0].reserve(LARGE));
        assert!(granted.as_mut().now_or_never().is_none());
        drop(waiting);
        drop(held);
        // Granted, and dropped before it was received.
        drop(granted);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_exists_is_charged_beyond_the_limit_and_known_to_be() {
        let budget = ByteBudget::new(BYTES_MAX);
        let clients = clients(&budget, 2);
        assert_eq!(clients[0].full(), None);
        let part = clients[0].charge(BYTES_MAX / CLIENT_PARTS);
        assert_eq!((clients[0].full(), clients[1].full()), (Some(BudgetFull::Client), None));
        let rest = clients[0].charge(BYTES_MAX);
        assert_eq!(clients[1].full(), Some(BudgetFull::Node));
        drop((part, rest));
        assert_eq!((clients[0].full(), clients[1].full()), (None, None));
    }

    #[test]
    fn as_many_as_are_listed_wait_and_no_more() {
        let budget = ByteBudget::new(BYTES_MAX);
        let clients = clients(&budget, 2);
        let _held = clients[0].charge(BYTES_MAX);
        let mut waiting: Vec<_> =
            (0..CLIENT_WAITING_MAX).map(|_| Box::pin(clients[0].reserve(LARGE))).collect();
        assert!(waiting.iter_mut().all(|reserve| reserve.as_mut().now_or_never().is_none()));
        let refused = clients[0].reserve(LARGE).now_or_never().expect("an answer at once");
        assert_eq!(refused.err(), Some(BudgetFull::Client));
        waiting.clear();
        assert!(clients[0].reserve(LARGE).now_or_never().is_none(), "those that gave up do not count");
    }

    #[test]
    fn a_client_is_forgotten_with_its_last_charge() {
        let budget = ByteBudget::new(BYTES_MAX);
        let client = budget.client(7);
        let charge = client.charge(1);
        drop(client);
        let again = budget.client(7);
        assert!(Arc::ptr_eq(&charge.client, &again));
        drop((charge, again));
        assert!(budget.clients.is_empty());
    }

    #[test]
    fn what_does_not_fit_now_is_refused_and_bytes_are_scarce_before_they_are_used_up() {
        let budget = ByteBudget::new(BYTES_MAX);
        let clients = clients(&budget, 4);
        let other = budget.client(9);
        let mut held: Vec<_> =
            (0..6).map(|at| clients[at / 2].try_reserve(LARGE, None).expect("it fits")).collect();
        assert!(clients[0].is_scarce() && !other.is_scarce());
        assert_eq!(clients[0].try_reserve(LARGE, None).err(), Some(BudgetFull::Client));
        held.extend((0..2).map(|_| clients[3].try_reserve(LARGE, None).expect("it fits")));
        assert!(other.is_scarce());
        assert_eq!(other.try_reserve(LARGE, None).err(), Some(BudgetFull::Node));
        drop(held);
        assert!(other.try_reserve(LARGE, None).is_ok() && !other.is_scarce());
    }
}
