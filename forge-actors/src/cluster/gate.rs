//! Who may knock: connections that have not said yet who they are.
//!
//! A full gate shuts nobody out who comes now. It drops the one that has waited longest, at that address or
//! at all: whoever has the secret needs a few milliseconds, and whoever is silent must not keep the others
//! out.

use std::net::IpAddr;

/// Unknown connections of one address; one more drops the oldest of them.
pub(super) const UNKNOWN_PER_ADDRESS_MAX: usize = 64;
/// Unknown connections at all; one more drops the oldest.
pub(super) const UNKNOWN_MAX: usize = 512;

/// Names one unknown connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

/// The unknown connections, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Gate {
    waiting: Vec<(Ticket, IpAddr)>,
    last: u64,
}

impl Gate {
    /// Lets a connection in; the second ticket, if any, is of the one to drop for it.
    pub(super) fn enter(&mut self, address: IpAddr) -> (Ticket, Option<Ticket>) {
        let address = address.to_canonical();
        let same = self.waiting.iter().filter(|(_, of)| *of == address).count();
        let oldest = match (same >= UNKNOWN_PER_ADDRESS_MAX, self.waiting.len() >= UNKNOWN_MAX) {
            (true, _) => self.waiting.iter().position(|(_, of)| *of == address),
            (false, true) => Some(0),
            (false, false) => None,
        };
        let dropped = oldest.map(|index| self.waiting.remove(index).0);
        self.last += 1;
        let ticket = Ticket(self.last);
        self.waiting.push((ticket, address));
        (ticket, dropped)
    }

    /// A connection is known now, or gone.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
    }
}
