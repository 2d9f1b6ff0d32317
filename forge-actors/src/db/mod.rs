//! Postgres: the only room that opens connections.
//!
//! ```text
//!   Database ─┬ write pool ── Transaction ── Db (frame) ── nested frames (savepoints)
//!             ├ read pool ─── Db (reader): one statement, one session, one round trip
//!             │               Runs: many reads of one snapshot, each with what it read
//!             ├ locks pool ── advisory locks, migrations
//!             └ control pool ─ health, cancellation: never waits behind applications
//!
//!   session:  Idle ──statement──▶ Busy ──answer──▶ Idle | Bound
//!                                   └─ future dropped: stays Busy, is discarded, its backend terminated
//! ```
//!
//! Invariants:
//! - Only a session whose last answer was read to its end goes back into a pool. A future dropped half-way (a
//!   client that disconnects, a timeout, an actor stop) leaves its session marked, and the mark is what
//!   decides, so no `BEGIN` in flight can hand its transaction to the next user.
//! - Nor does one that its user changed: what would end a transaction or alter a session is refused by its
//!   text (`guard`), and a session in which something may have stayed is discarded. Forge's own code uses
//!   `Session` directly and is not judged.
//! - A commit that succeeds was one: it is sent behind a savepoint, which fails wherever `COMMIT` would only
//!   warn.
//! - The good path costs no round trip of its own: no ping before use, no reset after it.
//! - A database outage is a state (`Away`), not a crash: acquiring fails at once with `UNAVAILABLE` and the
//!   monitor keeps knocking.
//! - A commit whose answer never came is `OUTCOME_UNKNOWN`, never "failed".

pub mod config;
pub mod database;
pub mod disposal;
pub mod embedded;
pub mod error;
pub mod frame;
pub mod guard;
pub mod handle;
pub mod lexer;
pub mod lock;
pub mod lock_session;
pub mod migrate;
pub mod migrator;
pub mod monitor;
pub mod pool;
pub mod runs;
pub mod session;
pub mod state;
pub mod statement;
pub mod transaction;
