//! The open connections of a gateway: how many, from where, and which of them is closed for a new one.
//!
//! ```text
//! admitted ─request─▶ busy ─last response─▶ idle ─the node is full─▶ evicted ─▶ ended
//! ```
//! A full node closes a connection that runs no request for one that will: the one that has been idle longest
//! among the next few that the clock's hand comes to. So a stranger who keeps connections open locks nobody
//! out, and a new connection costs the same however many are open.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::kernel::connection_limiter::{ConnectionLimit, ConnectionLimiter, ConnectionPermit};
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::secs;

/// Connections that are looked at for one that is idle; when none is, the new connection is refused, and the
/// next one looks further.
const LOOKED_AT_MAX: usize = 64;
/// Time for a request to arrive on an evicted connection that has never brought one; then it is closed.
const EVICTION_GRACE: Duration = secs(1);

/// Who has opened a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum ConnectionSource {
    /// A client at this address, which can have a part of all connections.
    Client(IpAddr),
    /// A trusted proxy, whose connections carry the requests of many clients.
    Proxy,
}

/// Owned by the accept loop.
pub(super) struct ConnectionTable {
    limiter: Arc<ConnectionLimiter>,
    /// Where the hand of the clock stands is the front. Connections that have ended are removed as the hand
    /// comes to them, or when they are more than the others.
    clock: VecDeque<Weak<ConnectionEntry>>,
}

/// One open connection. Its task writes it, the accept loop reads it; each field stands for itself, so
/// relaxed ordering is enough.
pub(super) struct ConnectionEntry {
    opened: Instant,
    requests_running: AtomicU32,
    has_served: AtomicBool,
    /// Milliseconds since `opened`.
    idle_since: AtomicU64,
    /// Taken by an eviction: the new connection needs the place before the old one has ended.
    permit: MergeSlot<ConnectionPermit>,
    /// Cancelled by an eviction, and when the gateway drains.
    closing: CancellationToken,
    evicted: CancellationToken,
}

impl ConnectionTable {
    pub(super) fn new(open_max: usize, address_open_max: usize) -> Self {
        Self { limiter: ConnectionLimiter::new(open_max, address_open_max), clock: VecDeque::new() }
    }

    /// Admits a connection from `source`, which `closing` will end; evicts an idle one for it when the node
    /// is full.
    pub(super) fn admit(
        &mut self,
        source: ConnectionSource,
        closing: CancellationToken,
    ) -> Result<Arc<ConnectionEntry>, ConnectionLimit> {
        let permit = match self.acquire(source) {
            Err(ConnectionLimit::Node) if self.evict() => self.acquire(source)?,
            result => result?,
        };
        if self.clock.len() > 2 * self.limiter.open() + LOOKED_AT_MAX {
            self.clock.retain(|entry| entry.strong_count() > 0);
        }
        let entry = Arc::new(ConnectionEntry::new(permit, closing));
        self.clock.push_back(Arc::downgrade(&entry));
        Ok(entry)
    }

    fn acquire(&self, source: ConnectionSource) -> Result<ConnectionPermit, ConnectionLimit> {
        match source {
            ConnectionSource::Client(ip) => self.limiter.acquire(ip),
            ConnectionSource::Proxy => self.limiter.acquire_shared(),
        }
    }

    /// Evicts the connection that has been idle longest among the next ones. False when none of them is idle.
    fn evict(&mut self) -> bool {
        let mut idlest: Option<(Instant, Arc<ConnectionEntry>)> = None;
        for _ in 0..self.clock.len().min(LOOKED_AT_MAX) {
            let Some(entry) = self.clock.pop_front() else { break };
            let Some(connection) = entry.upgrade() else { continue };
            self.clock.push_back(entry);
            let Some(since) = connection.idle_since() else { continue };
            if idlest.as_ref().is_none_or(|(longest, _)| since < *longest) {
                idlest = Some((since, connection));
            }
        }
        idlest.is_some_and(|(_, connection)| connection.evict())
    }
}

impl ConnectionEntry {
    fn new(permit: ConnectionPermit, closing: CancellationToken) -> Self {
        let slot = MergeSlot::new();
        slot.put(|place| *place = Some(permit));
        Self {
            opened: Instant::now(),
            requests_running: AtomicU32::new(0),
            has_served: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            permit: slot,
            closing,
            evicted: CancellationToken::new(),
        }
    }

    /// A request runs until the value that is returned is dropped.
    pub(super) fn request_begins(self: &Arc<Self>) -> CountedRequest {
        self.requests_running.fetch_add(1, Relaxed);
        self.has_served.store(true, Relaxed);
        CountedRequest(Arc::clone(self))
    }

    /// Cancelled when the connection is to end after the requests that run.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Ends when the connection was evicted and no request arrives: it can be closed as it is. A connection
    /// that has served a request ends by its graceful shutdown, which lets a response that is being written
    /// arrive.
    pub(super) async fn overdue(&self) {
        self.evicted.cancelled().await;
        tokio::time::sleep(EVICTION_GRACE).await;
        if self.has_served.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// `None` while a request runs, and after an eviction.
    fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.requests_running.load(Relaxed) == 0 && !self.evicted.is_cancelled();
        is_idle.then(|| self.opened + Duration::from_millis(self.idle_since.load(Relaxed)))
    }

    fn evict(&self) -> bool {
        let permit = self.permit.try_take();
        self.evicted.cancel();
        self.closing.cancel();
        permit.is_some()
    }
}

/// A request that runs until this is dropped.
pub(super) struct CountedRequest(Arc<ConnectionEntry>);

impl Drop for CountedRequest {
    fn drop(&mut self) {
        let entry = &self.0;
        let now = u64::try_from(entry.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        entry.idle_since.store(now, Relaxed);
        entry.requests_running.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: usize = 1_000;

    fn ip(last: u8) -> ConnectionSource {
        ConnectionSource::Client(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn the_connection_that_has_been_idle_longest_is_closed_for_a_new_one() {
        let mut table = ConnectionTable::new(3, FAR);
        let all = CancellationToken::new();
        let mut admit = |last| table.admit(ip(last), all.child_token());
        let busy = admit(1).expect("a free place");
        let _request = busy.request_begins();
        let (first, second) = (admit(2).expect("a free place"), admit(3).expect("a free place"));
        first.idle_since.store(1_000, Relaxed);
        let third = admit(4).expect("the second is evicted");
        let closed = |entry: &ConnectionEntry| entry.closing().is_cancelled();
        assert_eq!(
            (closed(&busy), closed(&first), closed(&second), closed(&third)),
            (false, false, true, false)
        );
        let _requests = (first.request_begins(), third.request_begins());
        assert_eq!(admit(5).err(), Some(ConnectionLimit::Node), "no connection is idle");
        drop(second);
        assert_eq!(admit(5).err(), Some(ConnectionLimit::Node), "an evicted connection has no place to give");
        assert!(!all.is_cancelled());
    }

    #[test]
    fn one_address_closes_nothing_of_others() {
        let mut table = ConnectionTable::new(3, 2);
        let mut admit = |last| table.admit(ip(last), CancellationToken::new());
        let other = admit(1).expect("a free place");
        let own = [admit(2).expect("a free place"), admit(2).expect("a free place")];
        assert_eq!(admit(2).err(), Some(ConnectionLimit::Network));
        assert!(!other.closing().is_cancelled() && own.iter().all(|entry| !entry.closing().is_cancelled()));
    }

    #[test]
    fn a_trusted_proxy_has_as_many_connections_as_the_node() {
        let mut table = ConnectionTable::new(3, 1);
        let mut admit = || table.admit(ConnectionSource::Proxy, CancellationToken::new());
        let open = [admit(), admit(), admit()].map(|entry| entry.expect("a free place"));
        let _requests = open.each_ref().map(ConnectionEntry::request_begins);
        assert_eq!(admit().err(), Some(ConnectionLimit::Node));
    }

    #[test]
    fn ended_connections_are_forgotten() {
        let mut table = ConnectionTable::new(FAR, FAR);
        for _ in 0..10 * LOOKED_AT_MAX {
            drop(table.admit(ip(1), CancellationToken::new()).expect("a free place"));
            assert!(table.clock.len() < 2 * LOOKED_AT_MAX);
        }
        assert_eq!(table.limiter.open(), 0);
    }
}
