//! Migrations of the schema; any number of nodes may start them at the same time.
//!
//! A file is `NNNN_verb_noun.sql` with the lines `-- @up` and `-- @down` (or `-- @irreversible`) in it, and
//! `-- @no-transaction` before them for statements such as `CREATE INDEX CONCURRENTLY`. Sets are applied one
//! after the other, Forge's own first.
//!
//! Invariants:
//! - One runner at a time: a session lock is held, and all statements run on the very connection that holds
//!   it, so a lost lock is a lost runner.
//! - A migration and its row in `forge_migrations` commit together. The row of a migration without
//!   transaction is written when its last statement succeeded and no invalid index was left.
//! - An applied file is never edited: its row carries its checksum. The rows of a set are always those of its
//!   first `n` files.
//!
//! Failures: a failed migration is rolled back as a whole, the lock is released, and the error names the
//! file, the line and the server's message.

pub mod error;
pub mod file;
pub mod plan;
pub mod runner;
pub mod set;
pub mod split;
pub mod system;

#[cfg(test)]
mod tests;
