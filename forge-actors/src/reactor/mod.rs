//! Live queries: results that are told again whenever the database changes.
//!
//! ```text
//!   session ──subscribe──▶ Client ──orders──▶ ticker ◀──heard, poll── poller ◀── hints of commits, its own clock
//!      ▲                                        │
//!      └────────── Delivery (Sink) ─────────────┘ tick: one snapshot
//! ```
//!
//! A tick is one REPEATABLE READ transaction, whose steps come back to the ticker as messages, so that it
//! never waits for the database:
//!
//! ```text
//!   resting ──asked──▶ opening ──opened──▶ running ──ran──▶ published ──closed──▶ resting
//!      ▲                  │                 │  ▲  │
//!      │                  │                 │  └──┘ a group was split: its parts run in the same snapshot
//!      └──── backoff ◀────┴─────failed──────┘
//! ```
//!
//! 1. *opening*: read the tail of changes in the snapshot; mark the groups that read what was changed.
//! 2. *running*: run each marked group and each new one; Postgres says what it read (`db::runs`).
//! 3. *published*: tell each client everything that is new to it at once, and which of its mutations the
//!    snapshot contains.
//!
//! A *question* is a handler and its arguments; a *group* is the subscriptions of a question that share one
//! execution. A run that does not ask who called answers everybody; the run in which it asks splits its group
//! by identity, or by peer when it asks for that, and the parts are run before anything is told. So nobody
//! gets what a run made for somebody else, and equal subscriptions cost one run.
//!
//! Invariants
//! - What changed is read in the snapshot in which the queries run, so a group that was not run is valid in
//!   it too: all subscriptions of a client stand at one snapshot, and none ever goes back.
//! - Truth is the tail of changes. HintHub and polls only decide when to look.
//! - A result is encoded once and told by reference; one with the hash of the last is not told.
//! - An answer shaped by its caller is told to callers with that very identity only.
//! - Every subscription is judged before it joins, and again when its client becomes another caller.
//!
//! Failures: a query's error, panic or time limit is its result, and it runs again when what it read changes.
//! A lost snapshot (session killed, database away) is repeated with backoff, everything anew; what clients
//! have stays as it is until then. A group in whose run the session broke `STRIKES_MAX` times in a row gets
//! an error and rests. When the ticker itself crashes, every client is told to subscribe again. What no
//! trigger captures (system views, foreign tables) is looked at every `uncaptured_refresh`.

pub mod config;
mod messages;
mod node;
mod pace;
mod poller;
mod question;
mod relations;
pub mod signals;
pub mod subsystem;
mod table;
mod tick;
mod ticker;
mod told;

#[cfg(test)]
mod tests;

pub use messages::{
    Client, Delivery, Modification, MutationId, QueryResult, Reactor, ReactorDeps, ReactorStats, Sink,
    SubscriptionId, Tick, Version,
};
