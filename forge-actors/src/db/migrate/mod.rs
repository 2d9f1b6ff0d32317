//! Migrations of the schema; any number of nodes may start them at the same time.
//!
//! A file is `NNNN_verb_noun.sql` with the lines `-- @up` and `-- @down` (or `-- @irreversible`) in it, and
//! `-- @no-transaction` before them for statements such as `CREATE INDEX CONCURRENTLY`. Sets are applied one
//! after the other, Forge's own first.
//!
//! A binary runs on a schema that a newer one has migrated further, so that nodes can be replaced one by one
//! and a version can be taken back. A migration that makes this impossible says `-- @breaking` before its
//! sections; its row carries the mark, and a binary that has no file for such a row refuses to start.
//!
//! Invariants:
//! - One runner at a time: a session lock is held, and all statements run on the very connection that holds
//!   it, so a lost lock is a lost runner.
//! - A migration and its row in `forge_migrations` commit together. The row of a migration without
//!   transaction is written when its last statement succeeded and no invalid index was left.
//! - An applied file is never edited: its row carries its checksum. The rows of a set are always those of its
//!   first `n` files, and then those of files that only a newer binary has.
//!
//! Failures: a failed migration is rolled back as a whole, the lock is released, and the error names the
//! file, the line and the server's message. A migration that does not get the lock of a table within half a
//! second is rolled back and tried again for [`lock_wait`](runner::Runner::lock_wait): the statements of
//! running nodes queue behind a lock request that waits. The next try takes that lock first; `table_locks`
//! says why.

pub mod error;
pub mod file;
mod invalid_index;
pub mod plan;
pub mod runner;
pub mod set;
pub mod split;
pub mod system;
mod table_locks;

#[cfg(test)]
mod tests;
