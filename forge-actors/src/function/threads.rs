//! The threads that run handlers, and nothing else of the node.
//!
//! ```text
//!   runtime of the node                              threads of handlers
//!   connections, calls, transactions, workers, ──handler──▶ polls it, and drops it when it is cancelled
//!   leases, heartbeats, pools, the reactor     ◀──output───
//! ```
//! A handler may block its thread: `std::thread::sleep`, a lock, a busy loop. Tokio cannot take a thread from
//! such a task, so handlers that block all threads of a runtime stop everything else that runs there. Here
//! they only stop each other: the node answers `/health`, renews its leases and keeps its leadership.
//!
//! An attempt at a job is a task of its own on these threads, which runs its handler itself: a job costs no
//! change of threads, and many short ones are run one after the other by one task.
//!
//! Forge's own handlers run on the node's runtime: they do not block, and the dashboard has to answer while
//! an application's handlers do.
//!
//! A handler that is cancelled (time limit, drain, lost lease) is dropped at its next await. Until then it
//! keeps its place and its entry among the running calls, and its transaction refuses its statements. A
//! handler that has not got a thread yet is withdrawn by its caller instead, and then never runs.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

use super::admission::Permit;
use super::inflight::InFlightEntry;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::is_system;
use crate::kernel::limits::THREAD_STACK_BYTES;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::coarse_ns;
use crate::supervise::{Panic, catch_unwind};

/// What a handler returned.
pub(super) type HandlerOutput = Result<Bytes, Fault>;

/// The threads of one node.
pub(super) struct HandlerThreads {
    /// Taken by the drop alone.
    handlers: Option<Runtime>,
    node: Handle,
    progress: Arc<ThreadProgress>,
}

/// When one of the threads last showed progress, by the coarse clock.
#[derive(Default)]
struct ThreadProgress(AtomicU64);

/// What a handler holds for as long as it exists, also after its caller has given it up.
pub(super) struct HandlerGuard {
    pub(super) entry: InFlightEntry,
    pub(super) permit: Permit,
}

/// A handler that runs, or waits for a thread. Dropping this value cancels it.
pub(super) struct RunningHandler {
    task: JoinHandle<Result<Option<HandlerOutput>, Panic>>,
    /// The handler is cancelled when this is dropped.
    cancel: Option<oneshot::Sender<()>>,
    start: Arc<HandlerStart>,
}

/// What the caller of a handler and the task that runs it share.
#[derive(Default)]
struct HandlerStart {
    /// Taken once: by the task when it has a thread, or by a caller who withdraws the handler before.
    waiting: MergeSlot<WaitingHandler>,
    /// When the task had a thread.
    began: OnceLock<Instant>,
}

/// A handler that has no thread yet.
struct WaitingHandler {
    running: BoxFuture<'static, HandlerOutput>,
    guard: Arc<HandlerGuard>,
}

/// How a handler ended.
pub(super) enum HandlerEnd {
    Returned(HandlerOutput),
    Panicked(Panic),
    /// The handler was cancelled, or the node has stopped its threads.
    Cancelled,
}

impl HandlerThreads {
    /// Starts `threads` threads; as many as the machine has cores without a number. The runtime that this is
    /// called on is the node's.
    pub(super) fn start(threads: Option<usize>) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        if let Some(threads) = threads {
            builder.worker_threads(threads);
        }
        builder.enable_all().thread_name("forge-handler").thread_stack_size(THREAD_STACK_BYTES);
        let progress = Arc::new(ThreadProgress::default());
        progress.note();
        Ok(Self { handlers: Some(builder.build()?), node: Handle::current(), progress })
    }

    /// How many threads there are.
    pub(super) fn count(&self) -> usize {
        self.handlers.as_ref().map_or(0, |handlers| handlers.metrics().num_workers())
    }

    /// How long ago one of the threads last finished a poll of a handler, or a [`probe`](Self::probe):
    /// threads that have no handler to run show progress by probes alone.
    pub(super) fn since_progress(&self) -> Duration {
        Duration::from_nanos(coarse_ns().saturating_sub(self.progress.0.load(Relaxed)))
    }

    /// Spawns a probe: an empty task, which runs as soon as a thread is free.
    pub(super) fn probe(&self) -> JoinHandle<()> {
        let progress = Arc::clone(&self.progress);
        self.handlers.as_ref().map_or(&self.node, Runtime::handle).spawn(async move { progress.note() })
    }

    /// Spawns a task that runs handlers itself ([`metered`](Self::metered)).
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handlers.as_ref().map_or(&self.node, Runtime::handle).spawn(task)
    }

    /// A handler of the application that runs in the task of its caller, on the threads of handlers.
    pub(super) fn metered(
        &self,
        guard: Arc<HandlerGuard>,
        running: BoxFuture<'static, HandlerOutput>,
    ) -> impl Future<Output = HandlerOutput> + Send + use<> {
        metered(guard, running, Some(Arc::clone(&self.progress)))
    }

    /// The runtime of everything that must go on while handlers block.
    pub(super) fn node(&self) -> &Handle {
        &self.node
    }

    /// Runs the handler `name` in the present span. `guard` is dropped with it.
    pub(super) fn run(
        &self,
        name: &str,
        guard: Arc<HandlerGuard>,
        running: BoxFuture<'static, HandlerOutput>,
    ) -> RunningHandler {
        let (cancel, is_cancelled) = oneshot::channel();
        let start = Arc::new(HandlerStart::default());
        start.waiting.put(|waiting| *waiting = Some(WaitingHandler { running, guard }));
        let (runtime, progress) = match &self.handlers {
            Some(handlers) if !is_system(name) => (handlers.handle(), Some(Arc::clone(&self.progress))),
            _ => (&self.node, None),
        };
        let starting = Arc::clone(&start);
        let handler = async move {
            // Before the handler is taken: a caller who finds it taken also finds when it began.
            starting.began.get_or_init(Instant::now);
            let WaitingHandler { running, guard } = starting.waiting.try_take()?;
            tokio::select! {
                biased;
                _ = is_cancelled => None,
                output = metered(guard, running, progress) => Some(output),
            }
        };
        // Dropping what is left of a handler that panicked runs its code too, which may panic as well.
        let task = async move { catch_unwind(catch_unwind(handler)).await.and_then(|ended| ended) };
        RunningHandler { task: runtime.spawn(task.instrument(Span::current())), cancel: Some(cancel), start }
    }
}

/// Notes each poll of a handler. `guard` is dropped with it.
fn metered(
    guard: Arc<HandlerGuard>,
    mut running: BoxFuture<'static, HandlerOutput>,
    progress: Option<Arc<ThreadProgress>>,
) -> impl Future<Output = HandlerOutput> + Send {
    poll_fn(move |cx| {
        let _poll = guard.entry.begin_poll();
        let polled = running.as_mut().poll(cx);
        if let Some(progress) = &progress {
            progress.note();
        }
        polled
    })
}

impl ThreadProgress {
    /// All threads write here, so the value is written once in a tick of the coarse clock only.
    fn note(&self) {
        let now = coarse_ns();
        if self.0.load(Relaxed) != now {
            self.0.store(now, Relaxed);
        }
    }
}

impl Drop for RunningHandler {
    fn drop(&mut self) {
        // A handler that still waits gives its place back now, and not when a thread is free.
        self.withdraw();
    }
}

impl Drop for HandlerThreads {
    fn drop(&mut self) {
        // A thread that still blocks must not delay the end of the node.
        if let Some(handlers) = self.handlers.take() {
            handlers.shutdown_background();
        }
    }
}

impl RunningHandler {
    /// Waits until the handler has ended. May be cancelled and called again, unless it has returned.
    pub(super) async fn ended(&mut self) -> HandlerEnd {
        match (&mut self.task).await {
            Ok(Ok(Some(output))) => HandlerEnd::Returned(output),
            Ok(Err(panic)) => HandlerEnd::Panicked(panic),
            Ok(Ok(None)) | Err(_) => HandlerEnd::Cancelled,
        }
    }

    /// When the handler got a thread, if it has got one.
    pub(super) fn began(&self) -> Option<Instant> {
        self.start.began.get().copied()
    }

    /// Takes the handler back if it has not got a thread. True when it had none: then it never runs.
    pub(super) fn withdraw(&self) -> bool {
        self.start.waiting.try_take().is_some()
    }

    /// Cancels the handler, and waits until it is dropped. `None` when that takes longer than `timeout`,
    /// since the handler, or others on all threads, block.
    pub(super) async fn cancel(mut self, timeout: Duration) -> Option<HandlerEnd> {
        self.cancel = None;
        tokio::time::timeout(timeout, self.ended()).await.ok()
    }
}
