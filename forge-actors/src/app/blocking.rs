//! The pool of blocking work: what needs a core for long, or blocks its thread.
//!
//! ```text
//! refused ◀─full, or a share is taken─ waiting ─its turn─▶ running on a thread of its own
//! ```
//! A hash of a password takes some 20 ms of a core, and a flood of sign-ins is a queue for the cores. That
//! queue is here, bounded and shared fairly (`kernel/fair_limit`, `core_queue`), and not among the places of
//! calls. A thread of this pool yields to the threads that answer requests: it has a lower priority, and one
//! core is left to them, since the kernel lets the threads of the pool finish their time slices.

use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};

use super::core_queue::CoreQueue;
use crate::kernel::fair_limit::{CallerHash, FairLimit, FairPermit, LimitReached, Shares};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;
use crate::supervise::catch_unwind;

/// A thread ends when it has had no work for this long, and gives back what it keeps between two pieces.
const THREAD_IDLE_MAX: Duration = secs(2);

/// The pool of one node. Clones are the same pool.
#[derive(Clone)]
pub struct BlockingPool {
    /// Work that waits or runs.
    places: Arc<FairLimit>,
    cores: Arc<CoreQueue>,
    threads: Arc<PoolThreads>,
}

/// The threads: a runtime of which only the pool for blocking work is used.
struct PoolThreads(Option<Runtime>);

impl BlockingPool {
    /// A pool for at most `max` pieces of work of these functions.
    ///
    /// # Errors
    /// When the operating system gives no runtime.
    pub fn new<'a>(max: u32, shares: Shares, functions: impl Iterator<Item = &'a str>) -> io::Result<Self> {
        let places = FairLimit::new(max, shares, functions);
        let cores = thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1);
        let threads = Builder::new_current_thread()
            .max_blocking_threads(cores)
            .thread_keep_alive(THREAD_IDLE_MAX)
            .thread_name("forge-blocking")
            .on_thread_start(yield_to_others)
            .build()?;
        Ok(Self {
            places: Arc::new(places),
            cores: CoreQueue::new(cores),
            threads: Arc::new(PoolThreads(Some(threads))),
        })
    }

    /// Runs `work` of `function` for `caller`; see [`Ctx::blocking`](crate::app::Ctx::blocking).
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        function: &str,
        caller: Option<CallerHash>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let place = self.place(function, caller).map_err(refused)?;
        let displaced = || refused(LimitReached::Caller);
        let place = self.cores.wait(function, caller, place).await.ok_or_else(displaced)?;
        let run = move || {
            // The thread cannot be interrupted, so it holds the place itself: the caller may be cut before
            // the work ends.
            let _held = place;
            catch_unwind(async move { work() }).now_or_never().expect("the work awaits nothing")
        };
        let threads = self.threads.0.as_ref().expect("only the drop takes it");
        match threads.spawn_blocking(run).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(panic)) => resume_unwind(Box::new(panic)),
            Err(_) => Err(Fault::internal("a thread of blocking work ended without a result")),
        }
    }

    /// Takes a place among what waits or runs, if need be from a caller that has more of them.
    fn place(&self, function: &str, caller: Option<CallerHash>) -> Result<FairPermit, LimitReached> {
        let refused = match self.places.acquire(function, caller) {
            Err(refused) => refused,
            granted @ Ok(_) => return granted,
        };
        let displaced = match refused {
            LimitReached::All => self.cores.displace(None, caller),
            LimitReached::Function => self.cores.displace(Some(function), caller),
            LimitReached::Caller => false,
        };
        if displaced { self.places.acquire(function, caller) } else { Err(refused) }
    }
}

impl Drop for PoolThreads {
    fn drop(&mut self) {
        // Work that still runs must not delay the end of the node.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

fn refused(limit: LimitReached) -> Fault {
    let message = match limit {
        LimitReached::All => "the node is at its limit of work that waits for a core",
        LimitReached::Function => "this function is at its limit of work that waits for a core of the node",
        LimitReached::Caller => "this caller is at its limit of work that waits for a core of the node",
    };
    let help = "try again after `retryAfterMs`, or raise `functions.blocking_max`";
    Fault::new(Code::Overloaded, message).with_help(help).retry_after(secs(1))
}

/// Lowers the priority of this thread: under contention it gets about a tenth of what another one gets.
/// Outside of Linux the priority is the whole process's, and is left as it is.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the priority of a thread could not be lowered");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pool(max: u32) -> BlockingPool {
        BlockingPool::new(max, Shares { function: 1.0, caller: 0.5 }, ["a"].into_iter()).expect("a runtime")
    }

    #[tokio::test]
    async fn work_runs_elsewhere_and_its_panic_is_the_callers() {
        let pool = pool(8);
        let own = thread::current().id();
        let other = pool.run("a", None, || thread::current().id()).await.expect("runs");
        assert_ne!(own, other);
        let panicked = catch_unwind(pool.run::<()>("a", None, || panic!("too hard"))).await;
        let panic = panicked.expect_err("a panic");
        assert!(panic.message == "too hard" && panic.location.contains("blocking.rs"), "{panic:?}");
    }

    #[tokio::test]
    async fn who_has_its_share_is_refused_and_others_are_not() {
        let pool = pool(4);
        let caller = |name: &str| Some(CallerHash::of(name));
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let mut waiting = futures::stream::FuturesUnordered::new();
        for _ in 0..2 {
            let (pool, held) = (pool.clone(), Arc::clone(&held));
            waiting.push(tokio::spawn(async move {
                pool.run("a", caller("ana"), move || held.lock().expect("no panic").recv().is_ok()).await
            }));
        }
        tokio::task::yield_now().await;
        let refused = pool.run("a", caller("ana"), || ()).await.expect_err("a share");
        assert!(refused.code() == Code::Overloaded && refused.retry_delay().is_some());
        let other = pool.places.acquire("a", caller("bob"));
        assert!(other.is_ok());
        for _ in 0..2 {
            release.send(()).expect("the work waits");
        }
        while let Some(ended) = futures::StreamExt::next(&mut waiting).await {
            assert!(ended.expect("no panic").expect("ran"));
        }
    }
}
