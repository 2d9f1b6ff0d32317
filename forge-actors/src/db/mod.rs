//! Postgres: the only subsystem that opens connections.
//!
//! ```text
//!   Database ─┬ write pool ── Transaction ── Db (frame) ── nested frames (savepoints)
//!             ├ read pool ─── Db (reader): one statement, one session, one round trip
//!             ├ live pool ─── Runs: many reads of one snapshot, each with the relations that it read
//!             ├ locks pool ── advisory locks, migrations
//!             └ control pool ─ health checks, cancellation, heartbeats, begins and leases of jobs, the
//!                              check of advisory locks; application statements never use it
//!
//!   session:  Idle ──statement──▶ Busy ──answer read to its end──▶ Idle | Pinned
//!                              └─ future dropped: the session stays Busy and is discarded,
//!                                 its backend terminated
//! ```
//!
//! Invariants:
//! - A session goes back into a pool only when its last answer was read to its end. A future that is dropped
//!   half-way (a client disconnects, a timeout, an actor stops) leaves its session marked `Busy`, so a
//!   `BEGIN` in flight can never hand its transaction to the session's next user.
//! - A session goes back into a pool only when its user left nothing in it. Statements that end a transaction
//!   or change a session are refused by their text (`guard`); a session in which a statement may have left
//!   something is discarded. Forge's own code uses `Session` directly, without these checks.
//! - A commit that is reported as successful has happened: `COMMIT` is sent behind a savepoint, which fails
//!   wherever a bare `COMMIT` would only warn.
//! - The common path costs no extra round trip: no ping before use, no reset after it.
//! - A database outage is a state (`Unreachable`), not a crash: acquiring a session fails at once with
//!   `UNAVAILABLE`, and the monitor keeps pinging. So is a server that takes no writes (`ReadOnly`), for the
//!   sessions that write.
//! - When Postgres refuses a write as read-only: in a session or frame that Forge made read-only, the query
//!   is wrong (`INTERNAL`); in any other, the server takes no writes: it is a standby by now, or read-only.
//!   Such a server does not close connections, so all sessions of its generation are discarded.
//! - A commit whose answer never came is `OUTCOME_UNKNOWN`, never "failed".

pub mod advisory_lock;
pub mod clock;
pub mod commit_wait;
pub mod config;
pub mod connections;
pub mod database;
mod discarder;
mod driver;
pub mod election_session;
pub mod embedded;
pub mod error;
mod frame;
mod frame_state;
mod guard;
pub mod handle;
mod lexer;
pub mod live_snapshot;
pub mod long_transaction;
pub mod migrate;
pub mod migrator;
pub mod monitor;
pub mod paths;
mod ping_pace;
mod pool;
pub mod runs;
pub mod session;
pub(crate) mod session_name;
mod shared;
pub mod signals;
pub mod state;
mod statement;
pub mod subsystem;
pub mod transaction;
