//! Runs one test: a database, a node, the test's future; then everything ends, whatever the test did.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Once};
use std::thread::{Builder, scope};
use std::time::Duration;

use forge_actors::kernel::limits::THREAD_STACK_BYTES;
use forge_actors::kernel::time::secs;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::context::TestContext;
use super::error::TestError;
use super::node::TestNode;
use super::{server, watchdog};

/// Time for what still blocks a thread, such as the hashing of a password, when its test has ended.
const BLOCKING_MAX: Duration = secs(5);
/// The variable that says what the log of a test shows. Without it these are warnings, and what handlers log.
const LOG_VARIABLE: &str = "RUST_LOG";

/// What a test may return.
#[diagnostic::on_unimplemented(
    message = "a test returns nothing or a `TestResult`, and not `{Self}`",
    note = "`forge::Result<()>`, and every `Result<(), E>` with an error `E`, is a result of a test as well"
)]
pub trait TestOutcome {
    /// The failure, if the test failed.
    fn into_result(self) -> Result<(), TestError>;
}

impl TestOutcome for () {
    fn into_result(self) -> Result<(), TestError> {
        Ok(())
    }
}

impl<E: Into<TestError>> TestOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), TestError> {
        self.map_err(Into::into)
    }
}

/// Runs the test called `name`, the path of its function.
///
/// # Panics
/// When the test fails, or cannot be set up.
#[track_caller]
pub fn run<F, O>(name: &'static str, test: impl FnOnce(TestContext) -> F + Send)
where
    F: Future<Output = O>,
    O: TestOutcome,
{
    // The test runner knows a test by its path without the crate.
    let name = name.split_once("::").map_or(name, |(_, path)| path);
    if watchdog::is_this_process() {
        return watchdog::run();
    }
    start_log();
    let ended = scope(|threads| {
        let thread = Builder::new().name(name.to_owned()).stack_size(THREAD_STACK_BYTES);
        thread.spawn_scoped(threads, move || in_database(name, test)).map(|thread| thread.join())
    });
    match ended {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => panic!("{error}"),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => panic!("the test's thread cannot be started: {error}"),
    }
}

fn in_database<F, O>(name: &str, test: impl FnOnce(TestContext) -> F) -> Result<(), TestError>
where
    F: Future<Output = O>,
    O: TestOutcome,
{
    // Dropped last: the database is dropped when nobody uses it any more.
    let database = server::of_this_process(name)?.create_database()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(THREAD_STACK_BYTES)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(TestNode::start(&database)).map(|(node, root)| {
        let context = TestContext::new(Arc::clone(&node));
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(context))));
        runtime.block_on(node.stop(root));
        ended
    });
    runtime.shutdown_timeout(BLOCKING_MAX);
    drop(database);
    match ended? {
        Ok(outcome) => outcome.into_result(),
        Err(panic) => resume_unwind(panic),
    }
}

/// The log of the process goes where the test runner keeps the output of each test.
fn start_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let configured = std::env::var(LOG_VARIABLE).ok().and_then(|text| text.parse().ok());
        let filter = configured
            .unwrap_or_else(|| Targets::new().with_default(Level::WARN).with_target("app", Level::DEBUG));
        let log = tracing_subscriber::fmt::layer().with_target(false).with_test_writer();
        // An application may have started a log of its own.
        let _started_before = tracing_subscriber::registry().with(log).with(filter).try_init();
    });
}
