//! State that the actor `calls` and the tasks of all calls share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::access::unknown_function;
use super::admission::Admission;
use super::config::FunctionConfig;
use super::idempotency::KeyTurns;
use super::inflight::InFlightTable;
use super::signals::HandlerMetrics;
use super::threads::HandlerThreads;
use super::transaction_shares::TransactionShares;
use crate::app::context::Services;
use crate::app::{Catalog, Registration};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::kernel::fault::Fault;
use crate::supervise::Tree;

/// State of one node's function subsystem. The fields without a comment are set once and only read.
pub(super) struct FunctionShared {
    pub(super) catalog: Arc<Catalog>,
    pub(super) database: Database,
    pub(super) services: Arc<Services>,
    pub(super) tree: Arc<Tree>,
    pub(super) hints: HintHub,
    pub(super) config: FunctionConfig,
    /// Taken places. Written by each call when it starts and ends; no call waits for a place.
    pub(super) admission: Admission,
    /// Sessions of the write pool that each function holds. Written by each try of a mutation.
    pub(super) transactions: TransactionShares,
    /// Calls with idempotency keys. Each of them takes its turn before it takes a connection.
    pub(super) key_turns: KeyTurns,
    /// Run the handlers.
    pub(super) threads: HandlerThreads,
    /// Running calls. Written by each call when it starts and ends, and by its handler; read by the actor and
    /// by the dashboard.
    pub(super) in_flight: InFlightTable,
    /// By wire name of the handler. Each call counts itself.
    pub(super) metrics: HashMap<String, HandlerMetrics>,
    /// Calls of the application's handlers that have ended; each call counts itself.
    pub(super) calls: AtomicU64,
    /// Calls among them that failed by the node's fault; each call counts itself.
    pub(super) errors: AtomicU64,
    /// Owned by the actor, which closes it to refuse new calls and waits until it is empty. Calls add
    /// themselves.
    pub(super) tasks: TaskTracker,
    /// True once the drain has waited long enough. Written by the actor; wakes every running call.
    pub(super) cancel: watch::Sender<bool>,
}

impl FunctionShared {
    pub(super) fn find(&self, name: &str) -> Option<&'static Registration> {
        self.catalog.get(name)
    }

    /// The fault of a call that names no handler.
    pub(super) fn unknown(&self, name: &str) -> Fault {
        unknown_function(&self.catalog, name)
    }

    /// Waits until the drain cancels running calls.
    pub(super) async fn cancelled(&self) {
        let mut cancel = self.cancel.subscribe();
        // The sender lives in `self`, so waiting for the value cannot fail.
        let _value = cancel.wait_for(|cancelled| *cancelled).await;
    }
}
