//! How many sessions there may be: in all, and from one address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;

use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;

/// The seats of one node.
pub(super) struct Seats {
    taken: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
    taken_max: usize,
    address_max: usize,
}

/// A seat that is taken until this is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    pub(super) fn new(taken_max: usize, address_max: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), by_address: DashMap::new(), taken_max, address_max })
    }

    /// A seat for a client from `ip`; refused when all are taken, or too many by this address.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr) -> Result<Seat, Fault> {
        let full = |message| Fault::new(Code::Overloaded, message).retry_after(secs(1));
        let within = |taken: usize| (taken < self.taken_max).then_some(taken + 1);
        self.taken
            .fetch_update(Relaxed, Relaxed, within)
            .map_err(|_| full("the node has no room for another WebSocket"))?;
        let address = network(ip);
        let mut held = self.by_address.entry(address).or_default();
        if *held >= self.address_max {
            self.taken.fetch_sub(1, Relaxed);
            return Err(full("this address has as many WebSockets open as it may"));
        }
        *held += 1;
        drop(held);
        Ok(Seat { seats: Arc::clone(self), address })
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.fetch_sub(1, Relaxed);
        self.seats.by_address.remove_if_mut(&self.address, |_, held| {
            *held -= 1;
            *held == 0
        });
    }
}

/// Whoever has an IPv6 address has the 2⁶⁴ of its network.
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
    fn seats_are_counted_in_all_and_by_address() {
        let seats = Seats::new(3, 2);
        let take = |ip: &str| seats.take(ip.parse().expect("an address"));
        let first = take("2001:db8::1").expect("there is room");
        let second = take("2001:db8::2").expect("there is room");
        assert!(take("2001:db8:0:0:9::1").is_err(), "the same network has two");
        let third = take("::ffff:10.0.0.1").expect("another network");
        assert!(take("10.0.0.2").is_err(), "three are taken");
        drop(first);
        assert_eq!(seats.taken(), 2);
        let fourth = take("10.0.0.1").expect("its second");
        drop(fourth);
        drop((second, third));
        assert_eq!((seats.taken(), seats.by_address.len()), (0, 0));
    }
}
