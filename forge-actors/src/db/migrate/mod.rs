//! Migrations that any number of nodes may start at once.
//!
//! A file is `NNNN_verb_noun.sql` with the lines `-- @up` and `-- @down` (or `-- @irreversible`) in it, and
//! `-- @no-transaction` before them for statements such as `CREATE INDEX CONCURRENTLY`. Sets are applied one
//! after the other, Forge's own first.
//!
//! Invariants:
//! - One runner at a time: a session lock is held, and all statements run on the very connection that holds
//!   it, so a lost lock is a lost runner.
//! - A migration and its row in `forge_migrations` commit together. (Without a transaction: the row is
//!   written when the last statement succeeded and no invalid index was left.)
//! - What was applied is never edited: files carry a checksum, and the rows of a set are always its first `n`
//!   files.
//!
//! Failures: nothing of the failed migration stays, the lock is free, and the error names file, line and the
//! server's words.

pub mod error;
pub mod file;
pub mod plan;
pub mod runner;
pub mod set;
pub mod split;
pub mod system;

#[cfg(test)]
mod tests;
