//! The calls that run now, for the drain's log and for whoever looks at the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dashmap::DashMap;

use crate::kernel::ids::RequestId;

/// One running call.
#[derive(Debug, Clone)]
pub struct InFlight {
    /// Its request.
    pub request: RequestId,
    /// Wire name of the handler.
    pub name: Arc<str>,
    /// When it began.
    pub since: Instant,
}

/// The table of running calls. Bounded by admission.
#[derive(Clone, Default)]
pub(super) struct Table {
    calls: Arc<DashMap<u64, InFlight>>,
    next: Arc<AtomicU64>,
}

/// A row of the table; dropping it removes the row.
pub(super) struct Row {
    calls: Arc<DashMap<u64, InFlight>>,
    key: u64,
}

impl Table {
    pub(super) fn enter(&self, call: InFlight) -> Row {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.calls.insert(key, call);
        Row { calls: self.calls.clone(), key }
    }

    pub(super) fn list(&self) -> Vec<InFlight> {
        self.calls.iter().map(|row| row.value().clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.calls.remove(&self.key);
    }
}
