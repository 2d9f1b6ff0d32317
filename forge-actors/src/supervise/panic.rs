//! Panics as values: [`catch_unwind`] returns a panic's message, location and backtrace.
//!
//! The first [`catch_unwind`] installs one process-wide panic hook, which is chained to the previous hook.
//! While a future is polled inside [`catch_unwind`], the hook writes the panic into a thread-local and prints
//! nothing; every other panic goes to the previous hook. Symbolising a stack costs milliseconds, so it is
//! done once for each panic location: a later panic at the same location shows the backtrace of the first
//! one, also when it was reached by another path.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Mutex, Once, PoisonError};
use std::task::Poll;

use crate::kernel::limits::{BACKTRACE_BYTES_MAX, CAUSE_BYTES_MAX};

/// Panic locations whose backtrace is cached. When there is one more, the cache is emptied.
const LOCATIONS_MAX: usize = 256;

/// A caught panic.
#[derive(Clone, PartialEq, Eq)]
pub struct Panic {
    /// The panic message.
    pub message: String,
    /// `file:line:column`; empty when no panic hook ran, as for `resume_unwind`.
    pub location: String,
    /// The stack of the first panic at this location.
    pub backtrace: Arc<str>,
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("message", &self.message)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}: {}", self.location, self.message)
    }
}

impl std::error::Error for Panic {}

thread_local! {
    /// How many `catch_unwind` polls are on this thread's stack.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// The last panic that the hook saw on this thread.
    static SEEN: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

static INSTALLED: Once = Once::new();
static BACKTRACES: LazyLock<Mutex<HashMap<String, Arc<str>>>> = LazyLock::new(Mutex::default);

/// Runs `future`; a panic inside it becomes an `Err` and writes nothing to standard error.
///
/// The future is dropped after a panic, so it needs no unwind safety of its own. State that it shares with
/// other tasks must tolerate a half-done change, as after a cancellation.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let caught = forge_actors::supervise::catch_unwind(async { panic!("no such task") }).await;
/// assert_eq!(caught.map(|()| 0).unwrap_err().message, "no such task");
/// # });
/// ```
pub async fn catch_unwind<F: Future>(future: F) -> Result<F::Output, Panic> {
    catch_pinned(pin!(future)).await
}

/// [`catch_unwind`] of a pinned future, which saves a busy actor one move of the future for every message.
pub(super) fn catch_pinned<F: Future>(
    mut future: Pin<&mut F>,
) -> impl Future<Output = Result<F::Output, Panic>> {
    INSTALLED.call_once(install);
    poll_fn(move |cx| {
        let scope = CatchScope::enter();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        drop(scope);
        match polled {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => Poll::Ready(Err(caught(payload.as_ref()))),
        }
    })
}

/// Counts one poll of [`catch_unwind`] on this thread.
struct CatchScope;

impl CatchScope {
    fn enter() -> Self {
        CATCHING.set(CATCHING.get() + 1);
        Self
    }
}

impl Drop for CatchScope {
    fn drop(&mut self) {
        CATCHING.set(CATCHING.get() - 1);
    }
}

fn install() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // A thread that is being torn down has no thread-locals any more; its panics go to the previous hook.
        if CATCHING.try_with(Cell::get).is_ok_and(|depth| depth > 0) {
            let panic = describe(info);
            SEEN.with(|seen| seen.replace(Some(panic)));
        } else {
            previous(info);
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> Panic {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    Panic { message: text(info.payload()), backtrace: backtrace(&location), location }
}

/// The panic that the hook saw, if it belongs to this unwind, or a caught one that was resumed on this
/// thread. `resume_unwind` runs no hook, and a panic that was caught further inside is still in the
/// thread-local; the message distinguishes them.
fn caught(payload: &(dyn Any + Send)) -> Panic {
    if let Some(panic) = payload.downcast_ref::<Panic>() {
        return panic.clone();
    }
    let message = text(payload);
    match SEEN.take() {
        Some(seen) if seen.message == message => seen,
        _ => Panic { message, location: String::new(), backtrace: Arc::from("") },
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "a value that is not a text",
    };
    shorten(text, CAUSE_BYTES_MAX)
}

fn backtrace(location: &str) -> Arc<str> {
    let known = |cache: &Mutex<HashMap<_, _>>| {
        cache.lock().unwrap_or_else(PoisonError::into_inner).get(location).cloned()
    };
    if let Some(known) = known(&BACKTRACES) {
        return known;
    }
    // Outside of the lock, because it takes milliseconds and another thread may panic meanwhile.
    let stack = std::backtrace::Backtrace::force_capture().to_string();
    let stack: Arc<str> = shorten(below_the_machinery(&stack), BACKTRACE_BYTES_MAX).into();
    let mut cache = BACKTRACES.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= LOCATIONS_MAX {
        cache.clear();
    }
    cache.insert(location.to_owned(), Arc::clone(&stack));
    stack
}

/// The frames below the panic machinery, or all frames when the machinery is not recognised.
fn below_the_machinery(stack: &str) -> &str {
    let after = stack.rfind("rust_begin_unwind").or_else(|| stack.rfind("begin_panic_handler"));
    after.and_then(|at| stack[at..].find('\n').map(|end| &stack[at + end + 1..])).unwrap_or(stack)
}

/// `text`, or its beginning and a mark that the rest was cut.
pub(super) fn shorten(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mark = " … (cut)";
    let mut end = bytes_max.saturating_sub(mark.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{mark}", &text[..end])
}
