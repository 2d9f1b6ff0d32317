//! Limits of workflows that no configuration changes. Each comment says what happens when it is reached.

use std::time::Duration;

use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::{days, millis, minutes, secs};

/// Rows of the journal of one run; the next step fails.
pub const STEPS_MAX: usize = 10_000;
/// Bytes of the results in the journal of one run; the next step fails.
pub const JOURNAL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the result of a step, as JSON; a step with a larger one fails.
pub const STEP_RESULT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the result of a run, as JSON; a run with a larger one fails.
pub const RUN_RESULT_BYTES_MAX: usize = 1024 * 1024;
/// Branches of one `parallel`, `race` or `join_all`; a group with more fails.
pub const BRANCHES_MAX: usize = 1_000;
/// Bytes of what a run publishes, and of its attributes; more is refused.
pub const PUBLISHED_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the payload of an event or a signal; more is refused.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the arguments of a step that are kept to be shown; longer ones are left out.
pub(crate) const SHOWN_INPUT_BYTES_MAX: usize = 16 * 1024;
/// Time limit of an attempt at a closure that names none.
pub(crate) const CLOSURE_TIMEOUT: Duration = minutes(1);
/// The longest sleep or time limit; a longer one is shortened to it.
pub(crate) const WAIT_MAX: Duration = days(36_500);
/// A retry that is due sooner is waited for in memory.
pub(crate) const RETRY_IN_MEMORY_MAX: Duration = secs(2);
/// For so long, failures of the infrastructure (an outage of the database, a full node) are retried without
/// spending attempts.
pub(crate) const OUTAGE_MAX: Duration = minutes(10);
/// Activations of a run that end without the run having left, because its node was lost or the activation
/// failed, while none of its steps ends; after the last one the run is paused with an error that says so.
pub const CRASHES_MAX: u32 = 20;
/// Received events that a run remembers of those for which it goes on. Of more, the oldest are forgotten, and
/// with them all events that were emitted before them.
pub(crate) const CONSUMED_EVENTS_MAX: i64 = 1_000;
/// A wait that is over within this time does not leave memory.
pub(crate) const SHORT_WAIT: Duration = millis(100);

/// The refusal of attributes with more than [`PUBLISHED_BYTES_MAX`] as JSON.
pub(crate) fn attributes_too_large() -> Fault {
    let text = format!("the attributes of a run have at most {PUBLISHED_BYTES_MAX} bytes");
    Fault::new(Code::PayloadTooLarge, text)
}
