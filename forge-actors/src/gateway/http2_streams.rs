//! Runs the streams of HTTP/2 connections, and resets those whose client takes nothing of the response.
//!
//! hyper gives each stream to an executor, as a future that runs the request and then sends the response. A
//! client that grants no window leaves this future waiting for ever, while its TCP connection is healthy. So
//! the executor runs it beside the judgement of the response's [`ResponseDelivery`]: dropping the future
//! resets the stream (CANCEL) and frees what h2 holds of it. A stream whose last frame h2 holds is beyond
//! that: such a client, and one that stalls too many streams, loses its connection.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;

use super::response_delivery::ResponseDelivery;

tokio::task_local! {
    /// The response of the stream whose future is polled.
    static RESPONSE: Arc<OnceLock<Arc<ResponseDelivery>>>;
}

/// The executor of streams.
#[derive(Clone, Default)]
pub(super) struct StreamExecutor(TokioExecutor);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        self.0.execute(run(stream));
    }
}

/// Watches the delivery of the current stream's response. Does nothing for HTTP/1.1, which has no streams.
pub(super) fn watch_delivery(delivery: &Arc<ResponseDelivery>) {
    // Outside of a stream there is no such value. A stream has one response, so the value is set once.
    let _unset = RESPONSE.try_with(|response| response.set(Arc::clone(delivery)));
}

async fn run(stream: impl Future<Output = ()>) {
    let response = Arc::<OnceLock<_>>::default();
    let mut stream = Box::pin(RESPONSE.scope(Arc::clone(&response), stream));
    tokio::select! {
        biased;
        () = stream.as_mut() => {}
        delivery = stalled(&response) => {
            tracing::debug!("a response was reset: its client took nothing of it");
            return delivery.report_stalled();
        }
    }
    drop(stream);
    let Some(delivery) = response.get() else { return };
    tokio::select! {
        biased;
        () = poll_fn(|cx| delivery.poll_taken(cx)) => {}
        _ = stalled(&response) => delivery.abort_connection(),
    }
}

/// Ends when the client has taken nothing of the response for too long. The future is polled after the
/// stream's, so that the response and its latest frame are known.
async fn stalled(response: &OnceLock<Arc<ResponseDelivery>>) -> &ResponseDelivery {
    let mut timer = None;
    poll_fn(|cx| match response.get() {
        Some(delivery) => delivery.poll_stalled(cx, &mut timer).map(|()| &**delivery),
        None => Poll::Pending,
    })
    .await
}
