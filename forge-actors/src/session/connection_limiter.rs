//! The limit of open sessions: in all, and from one client address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;

use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;

/// Counts the open sessions of one node.
pub(super) struct ConnectionLimiter {
    open: AtomicUsize,
    open_by_network: DashMap<IpAddr, usize>,
    open_max: usize,
    network_open_max: usize,
}

/// The permission to have one session open; dropping the permit gives it back.
pub struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    network: IpAddr,
}

impl ConnectionLimiter {
    pub(super) fn new(open_max: usize, network_open_max: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            open_by_network: DashMap::new(),
            open_max,
            network_open_max,
        })
    }

    /// A permit for a client from `ip`.
    ///
    /// # Errors
    /// `OVERLOADED` when the node or the client's network has its maximum of sessions open.
    pub(super) fn acquire(self: &Arc<Self>, ip: IpAddr) -> Result<ConnectionPermit, Fault> {
        let full = |message| Fault::new(Code::Overloaded, message).retry_after(secs(1));
        let one_more = |open: usize| (open < self.open_max).then_some(open + 1);
        self.open
            .fetch_update(Relaxed, Relaxed, one_more)
            .map_err(|_| full("the node has its maximum of WebSockets open"))?;
        let network = network(ip);
        let mut open = self.open_by_network.entry(network).or_default();
        if *open >= self.network_open_max {
            self.open.fetch_sub(1, Relaxed);
            return Err(full("this address has its maximum of WebSockets open"));
        }
        *open += 1;
        drop(open);
        Ok(ConnectionPermit { limiter: Arc::clone(self), network })
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.open.fetch_sub(1, Relaxed);
        self.limiter.open_by_network.remove_if_mut(&self.network, |_, open| {
            *open -= 1;
            *open == 0
        });
    }
}

/// The network that is counted as one client: of IPv6 the /64, since a client can use every address of it.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted_in_all_and_by_network() {
        let limiter = ConnectionLimiter::new(3, 2);
        let acquire = |ip: &str| limiter.acquire(ip.parse().expect("an address"));
        let first = acquire("2001:db8::1").expect("none is open");
        let second = acquire("2001:db8::2").expect("one is open");
        assert!(acquire("2001:db8:0:0:9::1").is_err(), "the same /64 has two");
        let third = acquire("::ffff:10.0.0.1").expect("another network");
        assert!(acquire("10.0.0.2").is_err(), "three are open");
        drop(first);
        assert_eq!(limiter.open(), 2);
        let fourth = acquire("10.0.0.1").expect("the second of this address");
        drop(fourth);
        drop((second, third));
        assert_eq!((limiter.open(), limiter.open_by_network.len()), (0, 0));
    }
}
