//! Leaderships: duties that one node of the cluster performs for all.
//!
//! A leadership has a name, and each of its *terms* an epoch that grows. What one node is in one leadership
//! (`state::Candidacy`):
//!
//! ```text
//!             the lock is free: elected, epoch + 1
//!   Standby ──────────────────────────────────────────▶ Leading ──┐
//!     │  ▲                                               │ │ ▲    │ renewed every third of the lease
//!     │  │ session lost · deadline passed · superseded   │ │ └────┘
//!     │  └───────────────────────────────────────────────┘ │
//!     │ drain · stop                                       │ drain · stop: term ended, lock freed
//!     └──────────────────▶ Withdrawn ◀─────────────────────┘
//! ```
//!
//! ```text
//!   leader (one_for_one)
//!   ├ elector      holds the locks on one session, renews the terms, publishes them
//!   └ term_expiry  deletes old terms, while this node leads `maintenance`
//! ```
//!
//! Four parts, of which none is enough alone:
//!
//! - The *advisory lock* of a session of its own (`db::election_session`) lets one node in. A holder that was
//!   cut off still believes in it.
//! - *`idle_session_timeout` = `lease`* on that session frees the lock of a frozen or cut-off holder. It does
//!   not stop the holder.
//! - The *local deadline* of a [`Term`], counted from before a renewal was sent, stops the holder before
//!   Postgres frees its lock. It does not stop a statement that is under way.
//! - The *epoch* in `forge_leaders`, checked by each transaction, refuses what an old leader still sends.
//!
//! A renewal only reads: it keeps the session from being idle, and the server knows who holds the lock. Once
//! a minute it also writes `renewed_at`, from which the history says how long a lost term lasted at least. To
//! write five rows at each renewal made up half of the WAL of an idle node.
//!
//! Invariants
//! - Every transaction of a duty begins with [`Term::begin`], which locks the row of the term `FOR KEY
//!   SHARE`. An election locks the row `FOR UPDATE`. So all that one leader commits is committed before the
//!   next one is elected, and what comes later is refused. There is no window in which two leaders write.
//! - The check is a statement of the transaction and no SQL function, since the transaction then fails with a
//!   typed error, and no duty's statement can forget the check: duties get their transactions from the term.
//! - A transaction of a duty may idle for [`IDLE_MAX`] only, its statements wait half a second for a lock,
//!   and each has a time limit: 5 s, and 30 s where partitions are captured because no event trigger reports
//!   them. A leader that freezes or is cut off during a statement holds up the next election of that
//!   leadership until both have passed.
//! - A term that has ended never comes back: a node that is elected again gets a new epoch.
//! - Only nodes stand for a leadership that have a duty of it: subsystems ask for terms when they are made,
//!   so a node without the role `worker` never leads `jobs`.
//! - All times in rows are the database's. The deadline is this process's own monotonic clock, and is never
//!   compared with a row.
//!
//! Failure handling
//! - *Leader killed:* its session ends, the lock is free at once, and the next try of another node takes it.
//! - *Leader frozen or cut off:* Postgres ends the session after `lease`. The leader's own deadline passes
//!   earlier by a sixth of the lease, as soon as it can run again.
//! - *Session lost, database unreachable:* all terms of the node end at once. The elector connects again
//!   when the database answers.
//! - *Elector crashes:* the session is dropped with it, the deadlines of its terms are over, and the
//!   restarted elector is a candidate like any other.
//! - *Transaction pooler:* locks do not hold through it. The elector says so, stands for nothing, and looks
//!   again every minute; the node goes on without leading.
//! - *Lock free, row locked:* a transaction of the last leader is still open. The candidate frees the lock
//!   and tries again with the next renewal.
//! - *Superseded:* the row has another epoch although the lock was held, so someone changed it by hand or the
//!   lock excludes nothing. The term ends, and the log says so.
//!
//! Where the idea comes from: the local deadline is that of River's elector; the epoch is a fencing token
//! (Kleppmann, "How to do distributed locking").

pub mod config;
mod elector;
mod expiry;
mod leadership;
mod messages;
pub mod paths;
mod shared;
pub mod signals;
mod state;
pub mod store;
pub mod subsystem;
mod term;
mod term_expiry;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::watch;

use self::config::LeaderConfig;
use self::elector::Elector;
pub use self::expiry::{OldRows, expiry};
pub use self::leadership::Leadership;
use self::messages::ElectorMessage;
use self::paths::{LEADER, TERM_EXPIRY};
use self::shared::LeaderShared;
pub use self::term::{IDLE_MAX, Term, TermError};
use self::term_expiry::OldTerms;
use crate::db::database::Database;
use crate::kernel::ids::NodeId;
use crate::supervise::{Address, ChildSpec, Mailbox, Strategy, SupervisorSpec};

/// Duties of the cluster that belong to no subsystem with roles of its own: expiries, old rows.
pub const MAINTENANCE: Leadership = Leadership::new("maintenance");

/// This node's part in the elections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leader {
    shared: Arc<LeaderShared>,
    elector: Address<ElectorMessage>,
}

/// What the subsystem needs of the node.
#[derive(Debug, Clone)]
pub struct LeaderDeps {
    /// Terms are held in its name.
    pub node: NodeId,
    /// Its name, for people.
    pub node_name: String,
    /// Where the elections are held.
    pub database: Database,
    /// Section `[leader]`.
    pub config: LeaderConfig,
}

impl Leader {
    /// The subsystem, and the supervisor that runs it.
    pub fn new(deps: LeaderDeps) -> (Self, ChildSpec) {
        let shared = Arc::new(LeaderShared::default());
        let (mailbox, elector) = Mailbox::of::<Elector>();
        let elector_child = Elector::spec(mailbox, deps.clone(), Arc::clone(&shared));
        let leader = Self { shared, elector };
        let old_terms = OldTerms { retention: deps.config.retention };
        let term_expiry = expiry(&TERM_EXPIRY, deps.database, leader.stand_for(MAINTENANCE), old_terms);
        let children = vec![elector_child, term_expiry];
        (leader, ChildSpec::supervisor(LEADER.id(), SupervisorSpec::new(Strategy::OneForOne, children)))
    }

    /// Makes this node a candidate for `leadership`, and returns where its terms are published: `Some` while
    /// this node leads.
    pub fn stand_for(&self, leadership: Leadership) -> watch::Receiver<Option<Term>> {
        self.shared.stand_for(leadership)
    }

    /// Ends all terms in order, so that other nodes lead at once. This node stands for nothing any more: for
    /// a node that stops.
    pub fn withdraw(&self) {
        self.shared.withdraw();
        // Only a wake-up: an elector that is not running sees the flag when it starts.
        self.elector.notify(ElectorMessage::WithdrawRequested);
    }

    /// Why this node cannot lead, and what helps; `None` when nothing stands in the way.
    pub fn obstacle(&self) -> Option<String> {
        self.shared.obstacle()
    }
}
