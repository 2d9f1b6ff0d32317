//! State that the pools of one [`Database`](super::database::Database) and its monitor share.
//!
//! [`Database`](super::database::Database) owns it.
//!
//! - `generation` is written by the monitor after an outage, and by a `PooledSession` that meets a stale
//!   prepared statement or a server that takes no writes. No reader is woken: each pool reads the number when
//!   it hands out a session.
//! - `state`, `commits`, `clock` and `long_transaction` are written by the monitor alone. Readers are
//!   woken by the watch channels.
//! - `suspect_outage` is notified by a pool whose connection attempt failed, and by a `PooledSession` whose
//!   connection broke. Only the monitor waits for it.
//! - `uses` is counted by the pools of calls and duties, and cleared by the monitor, which pings less often
//!   while hardly anybody uses the database.
//! - `session_names` and `driver` are set once; the latter to the runtime on which the database was made.
//! - `discarder` is called by pools; `Database::new` sets once how it terminates a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use super::clock::ClockDifference;
use super::commit_wait::CommitWait;
use super::discarder::Discarder;
use super::driver::Driver;
use super::long_transaction::LongTransaction;
use super::session_name::SessionNames;
use super::state::DatabaseState;

/// What the pools of one database share.
#[derive(Debug)]
pub(super) struct DatabaseShared {
    generation: AtomicU64,
    /// The result of the monitor's last ping.
    pub(super) state: watch::Sender<DatabaseState>,
    /// Commits that do not end, as the monitor's last ping found them.
    pub(super) commits: watch::Sender<Option<CommitWait>>,
    /// How this machine's clock differs from the database's; `None` before the first ping.
    pub(super) clock: watch::Sender<Option<ClockDifference>>,
    /// The oldest transaction, when it is open for long.
    pub(super) long_transaction: watch::Sender<Option<LongTransaction>>,
    /// Asks the monitor for a ping, because a connection broke or could not be opened.
    pub(super) suspect_outage: Notify,
    /// How often the database was used since the monitor asked last.
    pub(super) uses: AtomicU32,
    /// Names the sessions of this process.
    pub(super) session_names: SessionNames,
    /// Serves the connections.
    pub(super) driver: Driver,
    /// Ends the sessions that must not be used again.
    pub(super) discarder: Discarder,
}

impl DatabaseShared {
    pub(super) fn new(session_names: SessionNames) -> Arc<Self> {
        let (state, _) = watch::channel(DatabaseState::Up);
        let driver = Driver::of_caller();
        Arc::new(Self {
            generation: AtomicU64::new(0),
            state,
            commits: watch::Sender::new(None),
            clock: watch::Sender::new(None),
            long_transaction: watch::Sender::new(None),
            suspect_outage: Notify::new(),
            uses: AtomicU32::new(0),
            session_names,
            discarder: Discarder::new(driver.clone()),
            driver,
        })
    }

    /// The generation that new sessions belong to. Sessions of an older one are not used again.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Ends the current generation: none of its sessions is used again.
    pub(super) fn end_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends `generation`, unless another session of it has done so already.
    pub(super) fn end_generation_of(&self, generation: u64) {
        // A failed exchange means that the generation has ended, which is all that the caller wants.
        let _already_ended =
            self.generation.compare_exchange(generation, generation + 1, Ordering::AcqRel, Ordering::Acquire);
    }
}
