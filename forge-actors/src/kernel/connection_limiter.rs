//! The limit of open connections of one kind: in all, and from one client address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;

/// Counts the open connections of one node.
pub struct ConnectionLimiter {
    open: AtomicUsize,
    open_by_network: DashMap<IpAddr, usize>,
    open_max: usize,
    network_open_max: usize,
}

/// The permission to have one connection open; dropping the permit gives it back.
pub struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    /// `None` when the connection is shared by clients of many networks.
    network: Option<IpAddr>,
}

/// The limit that one more connection would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// The node has its maximum open.
    Node,
    /// The client's network has its maximum open.
    Network,
}

impl ConnectionLimiter {
    /// At most `open_max` connections, and `network_open_max` of one network.
    pub fn new(open_max: usize, network_open_max: usize) -> Arc<Self> {
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
    /// The limit that is reached: of the network, or else of the node.
    pub fn acquire(self: &Arc<Self>, ip: IpAddr) -> Result<ConnectionPermit, ConnectionLimit> {
        let network = client_network(ip);
        {
            let mut open = self.open_by_network.entry(network).or_default();
            if *open >= self.network_open_max {
                return Err(ConnectionLimit::Network);
            }
            *open += 1;
        }
        self.permit(Some(network)).inspect_err(|_| self.leave(network))
    }

    /// A permit for a connection that is shared by clients of many networks, and so counts for none of them.
    ///
    /// # Errors
    /// The limit of the node.
    pub fn acquire_shared(self: &Arc<Self>) -> Result<ConnectionPermit, ConnectionLimit> {
        self.permit(None)
    }

    fn permit(self: &Arc<Self>, network: Option<IpAddr>) -> Result<ConnectionPermit, ConnectionLimit> {
        let one_more = |open: usize| (open < self.open_max).then_some(open + 1);
        match self.open.fetch_update(Relaxed, Relaxed, one_more) {
            Ok(_) => Ok(ConnectionPermit { limiter: Arc::clone(self), network }),
            Err(_) => Err(ConnectionLimit::Node),
        }
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    fn leave(&self, network: IpAddr) {
        self.open_by_network.remove_if_mut(&network, |_, open| {
            *open -= 1;
            *open == 0
        });
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.open.fetch_sub(1, Relaxed);
        if let Some(network) = self.network {
            self.limiter.leave(network);
        }
    }
}

/// The network that counts as one client: of IPv6 the /64, since a client can use every address of it.
pub fn client_network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_in_all_and_by_network() {
        let limiter = ConnectionLimiter::new(3, 2);
        let acquire = |ip: &str| limiter.acquire(ip.parse().expect("an address"));
        let refused = |ip: &str| acquire(ip).err().expect("refused");
        let first = acquire("2001:db8::1").expect("none is open");
        let second = acquire("2001:db8::2").expect("one is open");
        assert_eq!(refused("2001:db8:0:0:9::1"), ConnectionLimit::Network, "the same /64 has two");
        let third = acquire("::ffff:10.0.0.1").expect("another network");
        assert_eq!(refused("10.0.0.2"), ConnectionLimit::Node, "three are open");
        assert_eq!(refused("2001:db8::3"), ConnectionLimit::Network, "closing others would not help");
        drop(first);
        assert_eq!(limiter.open(), 2);
        let fourth = acquire("10.0.0.1").expect("the second of this address");
        drop(fourth);
        drop((second, third));
        assert_eq!((limiter.open(), limiter.open_by_network.len()), (0, 0));
    }
}
