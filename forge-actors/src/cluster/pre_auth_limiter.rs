//! Bounds the connections that have not authenticated yet.
//!
//! A full limiter refuses no new connection. It drops the connection that has waited longest, of the same
//! address or of all: a node with the cluster key authenticates within milliseconds, so the connection that
//! has waited longest is the one most likely to be silent or hostile.

use std::net::IpAddr;

/// Unauthenticated connections of one address; one more drops the oldest of that address.
pub(super) const PER_ADDRESS_MAX: usize = 64;
/// Unauthenticated connections of all addresses together; one more drops the oldest.
pub(super) const TOTAL_MAX: usize = 512;

/// Names one unauthenticated connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PreAuthId(u64);

/// The unauthenticated connections, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(super) struct PreAuthLimiter {
    waiting: Vec<(PreAuthId, IpAddr)>,
    last: u64,
}

impl PreAuthLimiter {
    /// Admits a connection. The second id, if any, names the connection that has to be dropped for it.
    pub(super) fn admit(&mut self, address: IpAddr) -> (PreAuthId, Option<PreAuthId>) {
        let address = address.to_canonical();
        let same = self.waiting.iter().filter(|(_, of)| *of == address).count();
        let oldest = match (same >= PER_ADDRESS_MAX, self.waiting.len() >= TOTAL_MAX) {
            (true, _) => self.waiting.iter().position(|(_, of)| *of == address),
            (false, true) => Some(0),
            (false, false) => None,
        };
        let dropped = oldest.map(|index| self.waiting.remove(index).0);
        self.last += 1;
        let id = PreAuthId(self.last);
        self.waiting.push((id, address));
        (id, dropped)
    }

    /// Removes a connection that has authenticated or ended.
    pub(super) fn remove(&mut self, id: PreAuthId) {
        self.waiting.retain(|(waiting, _)| *waiting != id);
    }
}
