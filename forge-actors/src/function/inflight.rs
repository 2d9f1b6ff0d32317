//! The calls that run now, for the log of the drain and for the dashboard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dashmap::DashMap;

use crate::kernel::ids::RequestId;

/// One running call.
#[derive(Debug, Clone)]
pub struct InFlightCall {
    /// The request that it belongs to.
    pub request: RequestId,
    /// Wire name of the handler.
    pub name: Arc<str>,
    /// When it began.
    pub since: Instant,
}

/// The table of running calls. Bounded by admission, by `jobs.concurrency` (attempts of jobs enter it too)
/// and by the one live query that runs at a time. A clone is the same table.
#[derive(Clone, Default)]
pub(super) struct InFlightTable {
    calls: Arc<DashMap<u64, InFlightCall>>,
    next: Arc<AtomicU64>,
}

/// Keeps a call in the table until it is dropped.
pub(super) struct InFlightEntry {
    calls: Arc<DashMap<u64, InFlightCall>>,
    key: u64,
}

impl InFlightTable {
    pub(super) fn enter(&self, call: InFlightCall) -> InFlightEntry {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.calls.insert(key, call);
        InFlightEntry { calls: Arc::clone(&self.calls), key }
    }

    pub(super) fn list(&self) -> Vec<InFlightCall> {
        self.calls.iter().map(|entry| entry.value().clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }
}

impl Drop for InFlightEntry {
    fn drop(&mut self) {
        self.calls.remove(&self.key);
    }
}
