//! State that the actor `calls` and the tasks of all calls share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::access::unknown_function;
use super::admission::Admission;
use super::config::FunctionConfig;
use super::faults::no_thread_fault;
use super::idempotency::KeyTurns;
use super::inflight::InFlightTable;
use super::signals::{self, HandlerMetrics};
use super::stall::{ThreadStall, name_blockers};
use super::threads::HandlerThreads;
use super::transaction_shares::TransactionShares;
use crate::app::context::Services;
use crate::app::{Catalog, Registration};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::is_system;
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
    /// Whether all of these threads are blocked. Written by the actor; read by calls that begin, and by the
    /// readiness of the node.
    pub(super) stall: watch::Sender<Option<ThreadStall>>,
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

    /// Refuses a call of an application's handler while no thread is free for it.
    pub(super) fn check_threads(&self, name: &str) -> Result<(), Fault> {
        match &*self.stall.borrow() {
            Some(stall) if !is_system(name) => {
                signals::count_without_thread();
                Err(no_thread_fault(name, &stall.cause()))
            }
            _ => Ok(()),
        }
    }

    /// The fault of a call or a run whose handler got no thread before its time limit.
    pub(super) fn no_thread_fault(&self, name: &str) -> Fault {
        let cause = name_blockers(&self.in_flight.list()).map_or_else(
            || "all threads were busy, and no handler has blocked one for longer than a second".to_owned(),
            |blockers| format!("threads are blocked by {blockers}"),
        );
        no_thread_fault(name, &cause)
    }

    /// Waits until the threads are not stalled, for at most `timeout`. False when they still are.
    pub(super) async fn threads_free(&self, handler: &str, timeout: Duration) -> bool {
        if is_system(handler) {
            return true;
        }
        let mut stall = self.stall.subscribe();
        tokio::time::timeout(timeout, stall.wait_for(Option::is_none)).await.is_ok()
    }

    /// Waits until the threads are stalled; for ever with one of the node's own handlers, which need none.
    pub(super) async fn threads_stalled(&self, handler: &str) {
        if is_system(handler) {
            return std::future::pending().await;
        }
        let mut stall = self.stall.subscribe();
        let _found = stall.wait_for(Option::is_some).await;
    }

    /// Waits until the drain cancels running calls.
    pub(super) async fn cancelled(&self) {
        let mut cancel = self.cancel.subscribe();
        // The sender lives in `self`, so waiting for the value cannot fail.
        let _value = cancel.wait_for(|cancelled| *cancelled).await;
    }
}
