//! The faults of a handler that panicked, took too long, got no thread, or was ended by the stop of its node.

use std::time::Duration;

use crate::app::Meta;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::remedy;
use crate::kernel::time::{format_duration, secs};
use crate::subsystem::ActorPath;
use crate::supervise::{Crash, Panic, Tree};

/// When a caller should try again whose handler got no thread.
const THREAD_RETRY: Duration = secs(1);
/// When a caller should try again, at another node, whose node stops.
const STOP_RETRY: Duration = secs(1);

/// Writes a handler's panic to the journal of `tree`, below the actor `runner`. The returned fault only says
/// that the call failed.
pub(super) fn panic_fault(tree: &Tree, runner: &ActorPath, meta: &Meta, name: &str, panic: Panic) -> Fault {
    let crash = Crash::new(&format!("{runner}/{name}"), meta.kind().as_str(), &panic.message);
    let fault = Fault::internal(panic.to_string());
    tree.journal().record_crash(Crash {
        location: Some(panic.location),
        backtrace: Some(panic.backtrace),
        ..crash
    });
    fault
}

/// `TIMEOUT`: the handler ran into its own time limit or its caller's.
pub(super) fn timeout_fault(limit: Duration, name: &str) -> Fault {
    let limit = format_duration(limit);
    Fault::new(Code::Timeout, format!("`{name}` took longer than its time limit of {limit} or its caller's"))
        .with_help(remedy::TIME_LIMIT)
}

/// `UNAVAILABLE`: the node takes no further calls.
pub(super) fn stopping_fault() -> Fault {
    Fault::new(Code::Unavailable, "the node is stopping").retry_after(STOP_RETRY)
}

/// `UNAVAILABLE`: the call had begun when the node stopped.
pub(super) fn stopped_fault() -> Fault {
    Fault::new(Code::Unavailable, "the node stopped before the call ended").retry_after(STOP_RETRY)
}

/// `OVERLOADED`: the handler has not run. Which handlers hold the threads is for the log, the overview and
/// developers.
pub(super) fn no_thread_fault(name: &str, cause: &str) -> Fault {
    let message = format!("no thread of the node was free for `{name}`, so it did not run");
    Fault::new(Code::Overloaded, message)
        .with_help("move blocking code into `ctx.blocking` (actions and jobs), or raise `functions.threads`")
        .retry_after(THREAD_RETRY)
        .because(cause.to_owned())
}
