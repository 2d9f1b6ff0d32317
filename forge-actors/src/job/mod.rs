//! Jobs: rows that workers run until they succeed.
//!
//! ```text
//!        dispatch                                  a person: `retry`
//!           │            ┌───────────────────────────────────────────────────────────┐
//!           ▼            ▼                                                           │
//!        pending ◀── snoozed · handed back ──┐                                       │
//!           │ ▲                              │                                       │
//!         claim handed back ·      retry ◀── failed · lease lost ──┐                 │
//!           │ lease lost             │       │                     │                 │
//!           ▼ │                      │       │                     │                 │
//!        claimed ◀───── claim ───────┘       │                     │                 │
//!           │                                │                     │                 │
//!         begin: in the claim itself, when a worker is free for it │                 │
//!           ▼                                │                     │                 │
//!        running ────────────────────────────┴───────────┬─────────┘                 │
//!                                                        ├── ok ────────────────▶ completed
//!                                                        ├── arguments refused ─▶ failed ──────┤
//!                                                        ├── attempts spent ────▶ dead_letter ─┤
//!        pending · retry · claimed · running ────────────┴── a person: `cancel` ▶ cancelled ───┘
//! ```
//!
//! ```text
//!   jobs (one_for_one)
//!   ├ acknowledger     writes ends in batches, renews leases in batches
//!   ├ workers          worker-1 … worker-n, one job at a time each
//!   ├ claimer          claims in batches into a local queue, begins for free workers, hands out
//!   ├ rescuer          gives jobs back whose lease has run out, whoever held them
//!   └ sweeper          deletes old history, counts what waits
//! ```
//!
//! They stop from bottom to top: nothing more is claimed, the local queue is handed back, workers end their
//! jobs or hand them back when the drain is over, and the last ends are written.
//!
//! Invariants
//! - A job is finished when its row has left `forge_jobs`, and not before. Whatever a worker did, it is told
//!   there or it did not happen.
//! - Every write of a worker names its claim, a number that grows with each claim: what a stopped, cut-off or
//!   slow holder writes after its job was taken over is refused. There is no other fence, and none of it
//!   depends on a clock of a node.
//! - An attempt counts when it begins, and that is committed before its handler starts. A job that kills its
//!   process is therefore a dead letter after its attempts, and not for ever; one that takes Postgres along
//!   may have one more (`sql/begin_jobs.sql`).
//! - Nothing begins without a free worker. A lost node has spent an attempt of what it ran, and of nothing
//!   that it merely held.
//! - The lease decides only when another node may take over. One that has run out while nobody took over is
//!   still its holder's.
//! - What this binary has no handler for is never claimed; the sweeper says that it is there.
//! - Hints only wake. A claimer that hears nothing looks once in `poll_interval`, and when the next scheduled
//!   job is due.
//!
//! Failures: a panic or a time limit ends one attempt. While the database is away claimers wait with a
//! backoff, and ends are kept and written when it is back; the claim decides whether they still count. An
//! actor that is restarted loses what it held in memory: the leases run out, and the jobs are claimed again.

mod acknowledger;
pub mod admin;
mod claimer;
mod conclude;
pub mod config;
mod desk;
mod held;
pub mod insert;
pub mod messages;
mod rescuer;
pub mod signals;
pub mod state;
pub mod store;
mod sweeper;
mod worker;

#[cfg(test)]
mod tests;
