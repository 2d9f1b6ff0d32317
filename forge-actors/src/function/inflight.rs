//! The calls that run now, for the log of the drain, for the check of blocked threads, and for the overview.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dashmap::DashMap;

use crate::kernel::ids::RequestId;
use crate::kernel::time::coarse_ns;

/// A handler that is in one poll for longer blocks its thread.
const BLOCKS_AFTER: Duration = Duration::from_secs(1);

/// One running call.
#[derive(Debug, Clone)]
pub struct InFlightCall {
    /// The request that it belongs to.
    pub request: RequestId,
    /// Wire name of the handler.
    pub name: Arc<str>,
    /// For how long its handler has blocked its thread, when it does.
    pub blocked: Option<Duration>,
}

/// The table of running calls. Bounded by admission, by `jobs.concurrency` (attempts of jobs enter it too)
/// and by the live queries that run at a time, beside the handlers that block a thread longer than their
/// callers wait for them. A clone is the same table.
#[derive(Clone, Default)]
pub(super) struct InFlightTable {
    calls: Arc<DashMap<u64, Arc<InFlightRecord>>>,
    next: Arc<AtomicU64>,
}

struct InFlightRecord {
    request: RequestId,
    name: Arc<str>,
    /// When the present poll of the handler began, by the coarse clock; 0 between two polls.
    poll_began_ns: AtomicU64,
}

/// Keeps a call in the table until it is dropped.
pub(super) struct InFlightEntry {
    calls: Arc<DashMap<u64, Arc<InFlightRecord>>>,
    key: u64,
    record: Arc<InFlightRecord>,
}

/// One poll of a handler.
pub(super) struct HandlerPoll<'a>(&'a InFlightRecord);

impl InFlightTable {
    pub(super) fn enter(&self, request: RequestId, name: &Arc<str>) -> InFlightEntry {
        let key = self.next.fetch_add(1, Relaxed);
        let (name, poll_began_ns) = (Arc::clone(name), AtomicU64::new(0));
        let record = Arc::new(InFlightRecord { request, name, poll_began_ns });
        self.calls.insert(key, Arc::clone(&record));
        InFlightEntry { calls: Arc::clone(&self.calls), key, record }
    }

    pub(super) fn list(&self) -> Vec<InFlightCall> {
        let now = coarse_ns();
        self.calls.iter().map(|entry| entry.value().describe(now)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }
}

impl InFlightRecord {
    fn describe(&self, now_ns: u64) -> InFlightCall {
        let began = self.poll_began_ns.load(Relaxed);
        let polled = Duration::from_nanos(if began == 0 { 0 } else { now_ns.saturating_sub(began) });
        InFlightCall {
            request: self.request,
            name: Arc::clone(&self.name),
            blocked: (polled >= BLOCKS_AFTER).then_some(polled),
        }
    }
}

impl InFlightEntry {
    /// Notes that the handler is being polled, until the result is dropped.
    pub(super) fn begin_poll(&self) -> HandlerPoll<'_> {
        self.record.poll_began_ns.store(coarse_ns(), Relaxed);
        HandlerPoll(&self.record)
    }
}

impl Drop for HandlerPoll<'_> {
    fn drop(&mut self) {
        self.0.poll_began_ns.store(0, Relaxed);
    }
}

impl Drop for InFlightEntry {
    fn drop(&mut self) {
        self.calls.remove(&self.key);
    }
}
