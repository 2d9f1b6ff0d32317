//! Runs queries, mutations and actions: admission, transaction, time limit, retry, containment.
//!
//! ```text
//! call ──refused──▶ NOT_FOUND · UNAUTHENTICATED · PERMISSION_DENIED · PAYLOAD_TOO_LARGE · VALIDATION · OVERLOADED
//!   │ admitted
//!   ▼
//! running ──ok──▶ committed ──▶ answered
//!   │ ▲                │
//!   │ └─ lost a race ──┘  (mutations: again from the start, at most ATTEMPTS_MAX times)
//!   ├──fault · panic──▶ rolled back ──▶ answered
//!   └──deadline · drain · caller gone (queries only)──▶ cancelled in Postgres, rolled back
//! ```
//!
//! Mutations and actions run as tasks that the `functions` actor owns; a query, which leaves nothing behind
//! when it is dropped half-way, runs in its caller's task and ends with it. The actor counts both: when it
//! stops it admits nothing more, waits for what runs, and cancels what is left at its deadline. Callers come
//! in through [`Functions`](messages::Functions) without a message to the actor, because a hop through one
//! mailbox for every request would be the node's narrowest place (an actor that spawned per request was 10 ×
//! slower than tasks).
//!
//! Live queries come in by another door: the reactor brings the snapshot, and takes with the answer what the
//! run asked about its caller.
//!
//! Invariants: what writes is never dropped half-way, so no transaction is left open by a caller that went
//! away; an answer `Ok` of a mutation means that Postgres confirmed the commit; a panic ends one call.

mod actor;
mod admission;
mod attempt;
pub mod config;
mod idempotency;
mod inflight;
mod live;
pub mod messages;
mod run;
pub mod signals;

#[cfg(test)]
mod tests;
