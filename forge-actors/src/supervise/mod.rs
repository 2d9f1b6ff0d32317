//! Supervision in the manner of Erlang/OTP, on ractor: actors that restart, supervisors with strategies and
//! budgets, the live tree.
//!
//! ractor gives tasks, mailboxes and links; this room adds what it leaves open: restart strategies, backoff,
//! budgets that escalate, ordered stops with deadlines, bounded mailboxes, calls with deadlines, crash
//! records, and a tree to look at. A node is one [`Root`] over [`ChildSpec`]s; who writes an actor implements
//! [`Actor`] and keeps the [`Address`].
//!
//! The life of a child's slot (`state::Phase`; the tree shows it finer, as [`ActorState`]):
//!
//! ```text
//!            start                     exit, no restart (or stopped)
//!   Down ──────────────▶ Up ──────────────────────────────────────────▶ Down
//!                        │ ▲
//!     exit, or a sibling's│ │ due, and `start` returned
//!      exit (strategy)    ▼ │
//!                       Waiting ◀─┐ `start` failed: counts like a crash
//!                        │  └─────┘
//!                        └─▶ budget exhausted: children stop in reverse, the supervisor fails to its parent
//! ```
//!
//! Invariants
//! - A start fails with a typed error to the boot; on a restart it counts in the budget. Nothing restarts
//!   without a delay.
//! - A supervisor decides in `state` (pure) and acts in `crew`; it never waits without a limit and never
//!   loses a child's exit.
//! - A child's task has ended, and everything it owned is dropped, before its successor starts. The exception
//!   is an actor that blocks its thread: it is left behind after [`KILL_DEADLINE`], and the log says so.
//! - Crashes are recorded where they happen, so that one during a stop is not lost.
//! - No process globals but the panic hook and its cache of backtraces; each node has its own [`Tree`].

mod actor;
mod address;
mod control;
mod crew;
mod duty;
mod dynamic;
mod journal;
mod launch;
mod never;
mod panic;
mod periodic;
mod root;
pub mod signals;
mod spec;
mod state;
mod supervisor;
mod task;
mod tree;

#[cfg(test)]
mod tests;

// The one place of this room with re-exports: the derive macro expands to `supervise::Message`, and a flat
// face of names that are said together reads better than eleven module paths.
pub use actor::{Actor, ActorError, Context, Message, Timer};
pub use address::{Address, CallError, CastError, Mailbox, Reply};
pub use control::ControlError;
pub use duty::{Duty, PeriodicHandle, PeriodicStatus, RunError, RunReport, Schedule};
pub use dynamic::{ChildError, Children};
pub use journal::{Crash, Event, EventKind, Journal, Since};
pub use launch::{StartCut, StartError};
pub use never::Never;
pub use panic::{Panic, catch_unwind};
pub use periodic::STOP_PATIENCE;
pub use root::{Exit, Root, StopTimeout};
pub use spec::{
    Budget, ChildSpec, DynamicSpec, KILL_DEADLINE, Restart, START_DEADLINE, STOP_DEADLINE, Shutdown,
    SpecError, Strategy, SupervisorSpec,
};
pub use tree::{ActorInfo, ActorState, CurrentMessage, SupervisorInfo, Tree};
