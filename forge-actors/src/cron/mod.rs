//! Crons: schedules, and the runs that come of them. A run is a job.
//!
//! ```text
//!   attribute ──leader: a term begins──┐             ┌──▶ skipped (missed · overlap · queue_full)
//!                                      ▼             │
//!   ctx.crons().create ──────────▶ forge_crons ──time has come──▶ dispatched ──▶ completed · failed ·
//!                                      ▲ │           │               ▲           dead_letter · cancelled
//!   pause · resume ────────────────────┘ │           └──▶ waiting ───┘
//!                                        │                  the run before is finished
//!                                        └── a person: run now ──▶ dispatched
//! ```
//!
//! ```text
//!   crons (one_for_one)
//!   ├ scheduler    dispatches the runs whose time has come, while this node leads `crons`
//!   └ run_expiry   deletes old runs, while this node leads `crons`
//! ```
//!
//! `timetable.rs` says which instants a schedule names, `state.rs` what becomes of the times that have come,
//! `scheduler.rs` asks and writes. A run's handler is run by the workers of `job`, like any other job;
//! `begin.rs` notes when. `manage.rs` is what mutations do with schedules, `admin.rs` what administrators
//! do, and `days.rs` counts what became of the last day.
//!
//! Invariants
//! - One time of one cron has one run: the primary key of `forge_cron_runs`. A job is inserted only with a
//!   run that had no row before, in the same transaction.
//! - Only the leader of `crons` writes what the schedule brings, in transactions of its term: what an older
//!   leader still sends is refused. Each run says which term wrote it.
//! - `next_at` is the first time that no transaction has looked at, and moves in the transaction that writes
//!   the runs before it. So no time is passed over: it has a run, or a row that says why it has none.
//! - A time counts as missed [`state::MISSED_AFTER`] after it came. The newest `catch_up` missed ones run
//!   afterwards, the others are one row.
//! - Times are the database's. Where a clock is set forward or back, the two rules of `timetable.rs` hold.
//! - What a schedule says of queues and attempts is in its row, so a person's "run now" needs no binary that
//!   knows the handler.
//!
//! Failures: without a leader nothing is dispatched; the next one sees what has come meanwhile. A transaction
//! that fails is repeated within seconds. A schedule that no binary can read rests, and its row says why. A
//! schedule whose handler the leader's binary lacks is kept and marked; nothing runs until a binary with the
//! handler leads. A row that a person or an application changes at this moment is looked at a moment later.

pub mod admin;
pub mod begin;
pub mod config;
pub mod days;
pub mod manage;
pub mod paths;
mod run_expiry;
mod run_job;
mod scheduler;
pub mod signals;
pub mod state;
mod store;
pub mod subsystem;
mod timetable;

#[cfg(test)]
mod tests;

pub use manage::{CreateCron, Crons};
pub use scheduler::CRON_SCHEDULE;
pub use timetable::{Timetable, TimetableError};
