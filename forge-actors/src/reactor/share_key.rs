//! Whose share of the lanes, and of the memory for results, a query takes.

use std::net::IpAddr;
use std::sync::Arc;

/// The unit of fairness: clients with the same key share one part of the lanes, and one of the memory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ShareKey {
    /// All clients of one subject, whatever its tokens claim.
    Subject(String),
    /// All anonymous clients of one address; of IPv6, of one /64.
    Address(Option<IpAddr>),
    /// The queries that wait for a lock, of all callers.
    Locked,
}

/// Each key once, in their order.
pub(super) fn distinct<'k>(keys: impl Iterator<Item = &'k Arc<ShareKey>>) -> Vec<Arc<ShareKey>> {
    let mut distinct: Vec<Arc<ShareKey>> = Vec::new();
    for key in keys {
        if !distinct.contains(key) {
            distinct.push(Arc::clone(key));
        }
    }
    distinct
}
