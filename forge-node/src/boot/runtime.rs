//! The runtime that asynchronous commands run on.

use crate::terminal::report::{Exit, Report};

/// The stack of a worker thread. Tokio's 2 MiB are too few for an unoptimised handler that panics deep inside
/// of calls: capturing the backtrace needs stack too, and an overflow ends the process. Pages that are never
/// used cost nothing.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Runs `work` on a multi-threaded runtime, and returns its result.
///
/// # Errors
/// That of `work`; and when the runtime's threads cannot be started.
pub fn concurrently<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let runtime = runtime.map_err(|error| {
        Report::new(Exit::Failed, "runtime", "the runtime's threads cannot be started").cause(error)
    })?;
    let result = runtime.block_on(work);
    // A thread that still blocks, for example on hashing a password, must not delay the end of the process.
    runtime.shutdown_background();
    result
}
