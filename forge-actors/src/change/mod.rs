//! What a commit wrote: how it is captured, where it can be read, who is told.
//!
//! ```text
//!   any write ──statement trigger──▶ forge_changes ──Tail::read──▶ Batch { snapshot, tables | everything }
//!                                         │ older than capture.retention
//!                                     compactor ──▶ gone, and the horizon says so
//!   commit on a node ──Hints──▶ wakes whoever reads: never the truth
//! ```
//!
//! *Capture.* `forge_enable_reactivity(table)` puts triggers on a table and its partitions; they run always,
//! also for replicas, cascades and COPY, and leave rows in `forge_changes` in the writing transaction. DDL
//! leaves a row of its own (`op = 'X'`). At every start [`captures`] brings the tables of the models in line
//! with what they ask for.
//!
//! *Reading.* A transaction gets its id early and becomes visible late, so no number orders commits. A cursor
//! here is a *snapshot*: what is new since S is what the transactions wrote that S does not see, those in
//! progress at S and those that began later. Both are ranges of one index, so a look costs as much as there
//! is new, also behind a transaction that stays open for an hour; and it is exact: nothing is missed, nothing
//! is told twice.
//!
//! *Sweeping.* Rows carry no time. The compactor notes now and then which transactions have ended; what had
//! ended a retention ago is deleted, and the horizon moves in the same transaction. A cursor that may need
//! what is behind the horizon hears `Everything`.
//!
//! Invariants:
//! - What `Tables` leaves out did not change between two looks (captured tables; what is not captured is for
//!   the reader to poll).
//! - No statement here notifies: that would serialise all commits.
//! - A hint that is lost costs latency only.
//!
//! Failures: a look that fails leaves the cursor where it was. A server that restarted may have lost what was
//! visible before (`synchronous_commit = off`, a failover): `Everything`. Where the role may not create event
//! triggers, the compactor finds new partitions and changed definitions within [`config::SWEEP_EVERY_MAX`]
//! instead of with their commit. Logical replication writes without statement triggers, so tables that a
//! subscription fills are not captured.

pub mod captures;
pub mod compactor;
pub mod config;
pub mod hints;
pub mod messages;
mod state;
pub mod store;
mod tail;

#[cfg(test)]
mod tests;
