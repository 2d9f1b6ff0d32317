//! Supervision in the manner of Erlang/OTP, on ractor: actors that restart, supervisors with strategies and
//! budgets, the live tree.
//!
//! ractor gives tasks, mailboxes and links. This module adds restart strategies, backoff, budgets that
//! escalate, ordered stops with deadlines, bounded mailboxes, calls with deadlines, crash records, and a tree
//! that can be read while it runs. A node is one [`Root`] over [`ChildSpec`]s. The kinds of children:
//!
//! | made by | what it is |
//! |---|---|
//! | [`ChildSpec::actor`] | an [`Actor`], and the address at which other actors reach it |
//! | [`ChildSpec::with_mailbox`] | the same for a mailbox that was made before the actor |
//! | [`ChildSpec::unaddressed`] | an [`Actor`] that lives by its own timers and tasks |
//! | [`ChildSpec::task`] | a loop without messages |
//! | [`ChildSpec::periodic`], [`ChildSpec::elected`] | a periodic duty ([`Duty`]), on each node or on one |
//! | [`ChildSpec::supervisor`], [`ChildSpec::dynamic`] | a supervisor with children of its own |
//!
//! The states of a child (`state::ChildState`; the tree shows them finer, as [`ActorState`]):
//!
//! ```text
//!             started                    ended, not restarted · stop requested
//!   Stopped ────────────▶ Running ──────────────────────────────────────────▶ Stopped
//!                          │   ▲
//!        ended, restarted ·│   │ tick at `until`: start, then started
//!            sibling ended ▼   │
//!                         Waiting ◀─┐
//!                          │  └─────┘ the start failed: ended, restarted
//!                          └─▶ budget exhausted: all children stop in reverse order, the supervisor fails
//! ```
//!
//! `state::next` is this diagram as a function; `state::ChildStates` adds the budget and the strategy, and
//! `child_table` performs the actions.
//!
//! Invariants
//! - A failed start is a typed error at boot; on a restart it counts in the budget. No restart after
//!   a failure comes without a delay.
//! - A supervisor decides in `state` (pure) and acts in `child_table`. It never waits without a limit and
//!   never loses the exit of a child.
//! - The task of a child has ended, and its values are dropped, before its successor starts. The exception is
//!   an actor that blocks its thread: it is left behind after [`KILL_DEADLINE`], and the log says so.
//! - Panics and errors are recorded by the host of the actor, also during a stop; kills and cut starts by its
//!   supervisor.
//! - The only process-wide state is the panic hook and its cache of backtraces; each node has its own
//!   [`Tree`].
//!
//! The files of this folder import each other in circles (an address leads to its actor's context, a context
//! to its address), which other folders must not do.

mod actor;
mod address;
mod child_table;
mod context;
mod control;
mod duty;
mod dynamic;
mod entry;
mod host;
mod journal;
mod launch;
mod meter;
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
mod work;

#[cfg(test)]
mod tests;

// Re-exports, because `#[derive(Message)]` expands to `supervise::Message`, and because actors use most of
// these names together.
pub use actor::{Actor, ActorError, Message};
pub use address::{ActorCallError, Address, CastError, Mailbox, Reply};
pub use context::{Context, Timer};
pub use control::ControlError;
pub use duty::{
    Duty, DutyInfo, DutyOutcome, DutyRun, PeriodicHandle, PeriodicStatus, RunError, RunReport, Schedule,
};
pub use dynamic::{ChildError, Children};
pub use journal::{ActorJournal, Crash, EventKind, LifecycleEvent, Since};
pub use launch::{StartCut, StartError};
pub use never::Never;
pub use panic::{Panic, catch_unwind};
pub use periodic::STOP_TIMEOUT;
pub use root::{Root, RootExit, StopTimeout};
pub use spec::{
    Budget, ChildSpec, DynamicSpec, KILL_DEADLINE, Restart, START_DEADLINE, STOP_DEADLINE, Shutdown,
    SpecError, Strategy, SupervisorSpec,
};
pub use tree::{ActorInfo, ActorState, CurrentMessage, SupervisorInfo, Tree};
pub use work::{CurrentWork, Work, WorkGuard};
