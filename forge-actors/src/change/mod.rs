//! Change data capture: how committed writes are recorded, how they are read, and how waiting actors are
//! woken.
//!
//! ```text
//!   any write ──statement trigger──▶ forge_changes ──Tail::read──▶ ChangeSet { snapshot, changed tables }
//!                                         │ older than capture.retention
//!                                     compactor: deletes the rows and moves the horizon
//!   commit on a node ──HintHub──▶ wakes the actors that read: never the source of truth
//! ```
//!
//! *Capture.* `forge_enable_reactivity(table)` puts statement triggers on a table and its partitions. The
//! triggers always run, also for replicas, cascades and COPY, and insert rows into `forge_changes` in the
//! writing transaction. DDL inserts a row of its own (`op = 'X'`). At every start, [`captures`] brings the
//! triggers of the models' tables in line with the models.
//!
//! *Reading.* A transaction gets its id early and becomes visible late, so no number orders commits. A
//! cursor is therefore a *snapshot*: new since snapshot S are the rows of the transactions that S does not
//! see, which are those in progress at S and those that began later. Both are ranges of one index, so a poll
//! costs as much as there are new rows, also behind a transaction that stays open for an hour. Each commit
//! is returned by exactly one poll.
//!
//! *Compaction.* Rows carry no time. The compactor records at intervals which transactions have ended,
//! deletes the rows of those that had ended one retention ago, and moves the horizon in the same
//! transaction. A cursor from before the horizon gets `Everything`.
//!
//! Invariants:
//! - A captured table that `Changed::Tables` leaves out did not change between two polls. Tables without
//!   capture are the reader's to poll.
//! - No statement here uses NOTIFY, which would serialise all commits of the database.
//! - A lost hint costs latency only.
//!
//! Failures: a poll that fails leaves the cursor where it was. A restarted server may have lost what was
//! visible before (`synchronous_commit = off`, a failover), so the first poll after a restart returns
//! `Everything`. Where the role may not create event triggers, the compactor finds new partitions and
//! changed definitions within [`config::SWEEP_EVERY_MAX`] instead of with their commit. Logical replication
//! writes without statement triggers, so the tables that a subscription fills are not captured.

pub mod capture_check;
pub mod captures;
pub mod compactor;
pub mod config;
mod hints;
pub mod paths;
mod state;
pub mod store;
pub mod subsystem;
mod tail;

#[cfg(test)]
mod tests;

pub use hints::{Hint, HintHub, HintReceiver, InterestOf, Topic, TopicKind, TopicSet};
pub use state::{ChangeSet, Changed};
pub use store::captured_tables;
pub use tail::Tail;
