//! Limits that no configuration changes. Each comment says what happens when the limit is reached.

use std::time::Duration;

use super::time::days;

/// Lifecycle events, and crashes, kept in memory by the journal; the oldest is overwritten.
pub const JOURNAL_ENTRIES_MAX: usize = 512;
/// Bytes of a backtrace that are kept; the rest is cut off and replaced by a mark.
pub const BACKTRACE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a cause (panic text, error chain) that are kept.
pub const CAUSE_BYTES_MAX: usize = 2 * 1024;
/// Calls in one batch; a longer batch is refused whole.
pub const BATCH_CALLS_MAX: usize = 100;
/// The longest retention of a configuration; a longer one is refused. Postgres cannot subtract much more from
/// the present.
pub const RETENTION_MAX: Duration = days(36_500);
/// A client that takes fewer bytes a second than these counts as one that takes nothing: its connection is
/// closed after `write_timeout`.
pub const CLIENT_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// The longest time that a job waits for its next run: a snooze, a dispatch `after`, a backoff. A longer one
/// is shortened to it. Postgres cannot add much more to the present.
pub const JOB_DELAY_MAX: Duration = days(36_500);
/// Bytes of a job's result, as JSON; the status of a job with a larger one is `failed`.
pub const JOB_RESULT_BYTES_MAX: usize = 256 * 1024;
/// Jobs that one job waits for: its children, the members of a batch. More are refused.
pub const JOB_DEPENDENCIES_MAX: usize = 10_000;
/// Jobs of a chain. More are refused, since the failure of the first one ends all others one by one.
pub const JOB_CHAIN_MAX: usize = 100;
/// Time limit of a handler whose attribute names none.
pub const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time limit that an attribute may name for a call with a waiting client.
pub const HANDLER_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Bytes of arguments of a handler whose attribute names no limit; larger arguments are refused.
pub const HANDLER_INPUT_BYTES_MAX: usize = 1024 * 1024;
/// Tries of a query or mutation that loses races (serialization failure, deadlock, a schema that changed
/// meanwhile); then the caller gets the failure.
pub const CALL_TRIES_MAX: u32 = 5;
/// The stack of a thread that runs handlers or actors. Tokio's 2 MiB are too few for an unoptimised handler
/// that panics deep inside of calls: capturing the backtrace needs stack too, and an overflow ends the
/// process. Pages that are never used cost nothing.
pub const THREAD_STACK_BYTES: usize = 8 * 1024 * 1024;
/// Depth of calls nested in calls; a deeper call is a fault, since it is almost always a loop.
pub const CALL_DEPTH_MAX: u32 = 16;
