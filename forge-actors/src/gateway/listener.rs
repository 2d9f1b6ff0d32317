//! The actor that listens: the accept loop under supervision.
//!
//! A crash (a panic in the accept loop) cuts the open connections and starts a new loop on the same [`Port`].
//! A stop drains the connections, and sends the WebSocket clients away. The node is stopped when load
//! balancers have had `drain_delay` to notice that it is not ready: before that, they would send the clients
//! here again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::accept::serve;
use super::paths::LISTENER;
use super::port::Port;
use super::shared::GatewayShared;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Never, Shutdown};

/// Time beyond `drain_timeout` to cut the last connections.
const CUT_TIMEOUT: Duration = secs(2);

/// Declares the listener on `port`.
pub(super) fn spec(shared: Arc<GatewayShared>, port: Arc<Port>) -> ChildSpec {
    let config = &shared.config;
    let stop_timeout = config.drain_timeout.saturating_add(CUT_TIMEOUT);
    let make = move || HttpListener { shared: Arc::clone(&shared), port: Arc::clone(&port) };
    let mut spec = ChildSpec::unaddressed(LISTENER.id(), make);
    spec.shutdown = Shutdown::Deadline(stop_timeout);
    spec
}

struct HttpListener {
    shared: Arc<GatewayShared>,
    port: Arc<Port>,
}

struct HttpListenerState {
    drain: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Actor for HttpListener {
    type Message = Never;
    type State = HttpListenerState;
    const KIND: &'static str = "listener";

    async fn start(&self, cx: &Context<Never>) -> Result<HttpListenerState, ActorError> {
        let listener = self.port.listener()?;
        let drain = CancellationToken::new();
        let (ended_sender, ended) = oneshot::channel();
        let serving = serve(Arc::clone(&self.shared), Arc::clone(&self.port), listener, drain.clone());
        cx.spawn("accept loop", async move {
            serving.await;
            // The receiver is gone when the actor was killed during the drain.
            let _unsent = ended_sender.send(());
        });
        Ok(HttpListenerState { drain, ended })
    }

    async fn handle(
        &self,
        _: &Context<Never>,
        message: Never,
        _: &mut HttpListenerState,
    ) -> Result<(), ActorError> {
        match message {}
    }

    async fn stop(&self, _: &Context<Never>, accept_loop: &mut HttpListenerState) {
        accept_loop.drain.cancel();
        // The drainer, which waits for the sessions, stops after the requests have ended.
        if let Some(sessions) = &self.shared.sessions {
            sessions.drain();
        }
        // An error means that the loop panicked while it drained, so it has ended as well.
        let _ended = (&mut accept_loop.ended).await;
    }
}
