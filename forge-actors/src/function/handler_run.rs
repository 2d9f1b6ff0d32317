//! A handler of an active call, from its start to its end: on the threads of handlers while its caller waits
//! elsewhere, or in the task of its caller, which runs on those threads itself.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::call::{ActiveCall, CallFailure, HandlerResult};
use super::threads::{HandlerEnd, HandlerOutput};
use crate::supervise::catch_unwind;

/// How long a caller waits until a handler that was cancelled is dropped. Usually it is at once; a handler
/// that blocks its thread is dropped later, without its caller.
pub(super) const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);

impl ActiveCall {
    /// Runs a handler until it ends, panics, or reaches the deadline or the end of the drain. A handler that
    /// blocks its thread is then left to itself. One that has no thread when all of them are found to be
    /// blocked does not run. Returns when a handler that was cancelled is dropped, or after
    /// [`CANCEL_TIMEOUT`].
    pub(super) async fn run_handler(&self, running: BoxFuture<'static, HandlerOutput>) -> HandlerResult {
        let guard = Arc::clone(&self.guard);
        let mut handler = self.shared.threads.run(&self.invocation.name, guard, running);
        // A call that a handler makes shows that a thread was free just now.
        let stalled = async {
            match self.depth {
                0 => self.shared.threads_stalled(&self.invocation.name).await,
                _ => std::future::pending().await,
            }
        };
        let mut stalled = pin!(stalled);
        let mut has_thread = false;
        let failure = loop {
            let failure = tokio::select! {
                biased;
                ended = handler.ended() => return self.result_of(ended),
                () = tokio::time::sleep_until(self.deadline().into()) => CallFailure::Deadline,
                () = self.shared.cancelled() => CallFailure::Drain,
                () = &mut stalled, if !has_thread => CallFailure::NoThread,
            };
            if handler.withdraw() {
                return Err(match failure {
                    CallFailure::Deadline => CallFailure::NoThread,
                    other => other,
                });
            }
            match failure {
                CallFailure::NoThread => has_thread = true,
                failure => break failure,
            }
        };
        match handler.cancel(CANCEL_TIMEOUT).await {
            Some(HandlerEnd::Panicked(panic)) => Err(CallFailure::Panic(panic)),
            Some(HandlerEnd::Returned(_) | HandlerEnd::Cancelled) | None => Err(failure),
        }
    }

    /// Runs a handler in the present task, on the threads of handlers, until it ends, panics, is
    /// `interrupted` or reaches the deadline or the end of the drain. It has been dropped when this returns.
    pub(super) async fn run_here(
        &self,
        running: BoxFuture<'static, HandlerOutput>,
        interrupted: impl Future<Output = ()>,
    ) -> HandlerResult {
        let metered = self.shared.threads.metered(Arc::clone(&self.guard), running);
        let handler = async move {
            let mut metered = Box::pin(metered);
            // A handler that ends at its first poll needs no timer and nobody who could interrupt it.
            if let Poll::Ready(output) = futures::poll!(&mut metered) {
                return Ok(output);
            }
            tokio::select! {
                biased;
                output = metered => Ok(output),
                () = tokio::time::sleep_until(self.deadline().into()) => Err(CallFailure::Deadline),
                () = self.shared.cancelled() => Err(CallFailure::Drain),
                () = interrupted => Err(CallFailure::Drain),
            }
        };
        // Dropping what is left of a handler that panicked runs its code too, which may panic as well.
        match catch_unwind(catch_unwind(handler)).await.and_then(|ended| ended) {
            Ok(Ok(output)) => self.result_of(HandlerEnd::Returned(output)),
            Ok(Err(failure)) => Err(failure),
            Err(panic) => Err(CallFailure::Panic(panic)),
        }
    }

    fn result_of(&self, ended: HandlerEnd) -> HandlerResult {
        match ended {
            // A handler that blocked its thread until now cannot be cancelled, but it is late all the same.
            HandlerEnd::Returned(Ok(_)) if Instant::now() > self.deadline() => Err(CallFailure::Deadline),
            HandlerEnd::Returned(output) => Ok(output?),
            HandlerEnd::Panicked(panic) => Err(CallFailure::Panic(panic)),
            HandlerEnd::Cancelled => Err(CallFailure::Drain),
        }
    }
}
