//! The runtime that asynchronous commands run on.

use forge_actors::kernel::limits::THREAD_STACK_BYTES;

use crate::terminal::report::{Exit, Report};

/// Runs `work` on a multi-threaded runtime, and returns its result.
///
/// # Errors
/// That of `work`; and when the runtime's threads cannot be started.
pub fn concurrently<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads.enable_all().thread_stack_size(THREAD_STACK_BYTES).build();
    let runtime = runtime.map_err(|error| {
        Report::new(Exit::Failed, "runtime", "the runtime's threads cannot be started").cause(error)
    })?;
    let result = runtime.block_on(work);
    // A thread that still blocks, for example on hashing a password, must not delay the end of the process.
    runtime.shutdown_background();
    result
}
