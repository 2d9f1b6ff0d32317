//! A transition of one client to the snapshot of an earlier tick, which waits for runs in lanes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kernel::commit::Snapshot;

use super::delivery::{QueryResult, Tick};
use super::query_key::SubscriptionKey;

/// What a client is sent when the last of its queries has run in the snapshot of `tick`.
///
/// Nothing of it is recorded as delivered before, so it can be dropped at any time: the client then advances
/// to a later snapshot.
#[derive(Debug)]
pub(super) struct FrozenTransition {
    pub(super) tick: Tick,
    pub(super) snapshot: Arc<Snapshot>,
    /// Results in this snapshot that the client does not have.
    pub(super) results: BTreeMap<SubscriptionKey, Arc<QueryResult>>,
    /// The subscriptions whose groups still run in this snapshot.
    pub(super) waits: BTreeSet<SubscriptionKey>,
}
