//! The listener: the accept loop under supervision.
//!
//! A crash (a panic in the accept loop) cuts the open connections and starts a new loop on the same [`Port`].
//! A stop drains. No one sends to it, so its message type has no values.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::routes::{Border, Gateway};
use super::server::{Port, serve};
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Never, Shutdown};

/// Name of the readiness check that holds while the port is served.
pub const LISTENER_CHECK: &str = "listener";

/// Time beyond `drain_delay` and `drain_timeout` for the last connections to be cut.
const CUT_DEADLINE: Duration = secs(2);

/// Declares the listener that serves `gateway` on `port`. It stops within the drain's own limits.
pub fn listener<B: Border>(gateway: Gateway<B>, port: Arc<Port>) -> ChildSpec {
    let config = gateway.config();
    let stop = config.drain_delay.saturating_add(config.drain_timeout).saturating_add(CUT_DEADLINE);
    let (mut spec, _) =
        ChildSpec::actor("listener", move || Listener { gateway: gateway.clone(), port: Arc::clone(&port) });
    spec.shutdown = Shutdown::Deadline(stop);
    spec
}

struct Listener<B> {
    gateway: Gateway<B>,
    port: Arc<Port>,
}

struct Serving {
    drain: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl<B: Border> Actor for Listener<B> {
    type Message = Never;
    type State = Serving;
    const KIND: &'static str = "listener";

    async fn start(&self, cx: &Context<Never>) -> Result<Serving, ActorError> {
        let listener = self.port.listener()?;
        let drain = CancellationToken::new();
        let (tell_ended, ended) = oneshot::channel();
        let serving = serve(self.gateway.clone(), Arc::clone(&self.port), listener, drain.clone());
        cx.spawn("accept loop", async move {
            serving.await;
            // Nobody hears it when the actor was killed during the drain.
            let _ = tell_ended.send(());
        });
        self.gateway.readiness().pass(LISTENER_CHECK);
        Ok(Serving { drain, ended })
    }

    async fn handle(&self, _: &Context<Never>, message: Never, _: &mut Serving) -> Result<(), ActorError> {
        match message {}
    }

    async fn stop(&self, _: &Context<Never>, serving: &mut Serving) {
        self.gateway.readiness().fail(LISTENER_CHECK, "is draining");
        serving.drain.cancel();
        // An error means that the loop panicked on its way out: it has ended too.
        let _ = (&mut serving.ended).await;
    }
}
