//! The actor of one link. It brings the link up, checks that the peer is alive, runs the peer's requests, and
//! closes the connection.
//!
//! ```text
//!   opening ──Ready──▶ up ──▶ ended      by Closed · silence · Goodbye · Malformed · a new link
//!      └─ READY_DEADLINE ─────▶
//! ```
//!
//! A link lives as long as its connection; the next connection to the same peer is a new link. When a link
//! ends, its calls end with it, its connection is closed, and the dialer is notified.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::connect::PendingPeer;
use super::handshake::Side;
use super::inbound::too_many_calls;
use super::messages::{DialerMessage, LinkMessage};
use super::outbox::Outbox;
use super::peer_link::PeerLink;
use super::shared::ClusterShared;
use super::signals::ClusterMetrics;
use super::stream::{MeshStream, READ_IDLE_MAX};
use super::transport::{RemoteEndpoint, Transport, TransportSession};
use crate::kernel::envelope::{InvokeRequest, LinkKey, Topics};
use crate::kernel::ids::NodeId;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Restart, Timer};

/// Time for the node server to report that both sides can send frames; then the link ends.
const READY_DEADLINE: Duration = secs(5);
/// Interval of the pings.
const PING_EVERY: Duration = secs(2);
/// The link ends when the peer answers no ping for this long, even if the peer still sends frames: the frames
/// of this node do not reach it.
const SILENCE_MAX: Duration = READ_IDLE_MAX;
/// Requests of one peer that run on this node at a time; one more is answered with `OVERLOADED`.
const INVOCATIONS_MAX: usize = 256;
/// Time for the goodbye to be sent before the connection is closed.
const GOODBYE_GRACE: Duration = millis(50);

/// Runs one link.
pub(super) struct LinkActor {
    shared: Arc<ClusterShared>,
    transport: Arc<Transport>,
    peer: PeerIdentity,
    stream: Arc<MergeSlot<MeshStream>>,
}

/// The peer at the other end, as its handshake proved it.
#[derive(Clone)]
struct PeerIdentity {
    node: NodeId,
    name: Arc<str>,
    address: Arc<str>,
    key: LinkKey,
    side: Side,
}

pub(super) struct LinkActorState {
    link: RegisteredLink,
    session: Option<TransportSession>,
    invocations: HashMap<u64, CancellationToken>,
    opened: Instant,
    cause: &'static str,
    _ticks: Timer,
}

/// A link in the shared table. Dropping the value removes the link, so a crash of its actor leaves no entry.
struct RegisteredLink {
    shared: Arc<ClusterShared>,
    link: Arc<PeerLink>,
}

impl Drop for RegisteredLink {
    fn drop(&mut self) {
        self.shared.remove_link(&self.link);
        let was_up_for = self.link.is_up().then(|| self.link.age());
        // A dialer that is not running reads the links when it starts.
        let _stopped = self.shared.dialer.cast(DialerMessage::LinkEnded { node: self.link.node, was_up_for });
    }
}

/// The name of a link in the supervision tree: the peer's name and the end of its id, because several nodes
/// may have the same name.
pub(super) fn child_id(node: NodeId, name: &str) -> String {
    let id = node.to_string();
    let tail = id.get(id.len().saturating_sub(8)..).unwrap_or(&id);
    let clean =
        name.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' { c } else { '-' });
    format!("{}.{tail}", clean.take(48).collect::<String>())
}

impl LinkActor {
    /// The child that runs the link over a new connection.
    pub(super) fn spec(
        shared: &Arc<ClusterShared>,
        transport: &Arc<Transport>,
        peer: PendingPeer,
    ) -> ChildSpec {
        let PendingPeer { hello, side, key, stream } = peer;
        let id = child_id(hello.node, &hello.name);
        let peer = PeerIdentity {
            node: hello.node,
            name: hello.name.into(),
            address: hello.address.into(),
            key,
            side,
        };
        let (mailbox, _) = Mailbox::of::<Self>();
        let (shared, transport, slot) =
            (Arc::clone(shared), Arc::clone(transport), Arc::new(MergeSlot::new()));
        slot.put(|slot| *slot = Some(stream));
        let mut child = ChildSpec::with_mailbox(id, mailbox, move || Self {
            shared: Arc::clone(&shared),
            transport: Arc::clone(&transport),
            peer: peer.clone(),
            stream: Arc::clone(&slot),
        });
        // A broken connection cannot be started again; the next connection gets a link of its own.
        child.restart = Restart::Temporary;
        child
    }

    fn ready(&self, cx: &Context<LinkMessage>, state: &LinkActorState, remote: RemoteEndpoint) {
        let link = Arc::clone(&state.link.link);
        self.shared.link_up(&link);
        tracing::info!(
            peer = %link.name,
            node = %link.node,
            address = %link.mesh_address,
            "connected to another node"
        );
        link.outbox.interest(Topics::from(&*self.shared.hints.interest().borrow()));
        link.outbox.ping(link.clock_us());
        // The peer's hints from before the link are lost.
        self.shared.resync();
        cx.spawn_message("pump", async move {
            link.outbox.pump(|frame| remote.send(frame)).await;
            LinkMessage::Closed
        });
    }

    fn tick(&self, cx: &Context<LinkMessage>, state: &mut LinkActorState) {
        let link = &state.link.link;
        if !link.is_up() && state.opened.elapsed() > READY_DEADLINE {
            return end(cx, state, "never ready");
        }
        if link.is_up() && link.silent_for() > SILENCE_MAX {
            return end(cx, state, "silence");
        }
        link.outbox.ping(link.clock_us());
    }

    fn invoke(&self, cx: &Context<LinkMessage>, state: &mut LinkActorState, request: InvokeRequest) {
        let InvokeRequest { id, remaining, mut invocation } = request;
        let outbox = Arc::clone(&state.link.link.outbox);
        if state.invocations.len() >= INVOCATIONS_MAX {
            return outbox.respond(id, Err(too_many_calls()));
        }
        let cancelled = CancellationToken::new();
        state.invocations.insert(id, cancelled.clone());
        invocation.deadline = Some(Instant::now() + remaining);
        let running = self.shared.invoke.invoke(invocation, 0);
        cx.spawn_message("invocation", async move {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => {}
                result = running => outbox.respond(id, result),
            }
            LinkMessage::Finished { id }
        });
    }
}

impl Actor for LinkActor {
    type Message = LinkMessage;
    type State = LinkActorState;
    const KIND: &'static str = "link";
    const MAILBOX_MAX: usize = 1_024;

    async fn start(&self, cx: &Context<LinkMessage>) -> Result<LinkActorState, ActorError> {
        let stream = self.stream.try_take().ok_or("a link can be started only once")?;
        let PeerIdentity { node, name, address, key, side } = &self.peer;
        let link = Arc::new(PeerLink::new(*key, *node, name, address, cx.address()));
        // The link is registered before the node server gets the connection: a frame may arrive at once.
        self.shared.add_link(Arc::clone(&link));
        let link = RegisteredLink { shared: Arc::clone(&self.shared), link };
        if !self.transport.carry(stream, *side) {
            return Err("the mesh's node server has ended".into());
        }
        let ticks = cx.send_every(PING_EVERY, || LinkMessage::Tick);
        Ok(LinkActorState {
            link,
            session: None,
            invocations: HashMap::new(),
            opened: Instant::now(),
            cause: STOPPED,
            _ticks: ticks,
        })
    }

    async fn handle(
        &self,
        cx: &Context<LinkMessage>,
        message: LinkMessage,
        state: &mut LinkActorState,
    ) -> Result<(), ActorError> {
        match message {
            LinkMessage::Opened(session) => state.session = Some(session),
            LinkMessage::Ready(remote) => self.ready(cx, state, remote),
            LinkMessage::Tick => self.tick(cx, state),
            LinkMessage::Invoke(request) => self.invoke(cx, state, *request),
            LinkMessage::Cancel { id } => cancel(state, id),
            LinkMessage::Finished { id } => drop(state.invocations.remove(&id)),
            LinkMessage::Goodbye => end(cx, state, "goodbye"),
            LinkMessage::Malformed => end(cx, state, "malformed"),
            LinkMessage::Closed => end(cx, state, "closed"),
        }
        Ok(())
    }

    async fn stop(&self, _: &Context<LinkMessage>, state: &mut LinkActorState) {
        let link = &state.link.link;
        ClusterMetrics::link_ended(state.cause);
        if link.is_up() {
            tracing::info!(
                peer = %link.name,
                node = %link.node,
                cause = state.cause,
                "disconnected from another node"
            );
        }
        if state.cause == STOPPED {
            send_goodbye(&link.outbox).await;
        }
        if let Some(session) = state.session.take() {
            session.close_and_wait().await;
        }
    }
}

/// The cause of a link that its supervisor stops.
const STOPPED: &str = "stopped";

fn end(cx: &Context<LinkMessage>, state: &mut LinkActorState, cause: &'static str) {
    state.cause = cause;
    cx.stop(cause);
}

fn cancel(state: &mut LinkActorState, id: u64) {
    if let Some(invocation) = state.invocations.remove(&id) {
        invocation.cancel();
    }
}

/// Gives the pump time to send a goodbye. A peer that reads nothing does not get one, and notices the closed
/// connection instead.
async fn send_goodbye(outbox: &Outbox) {
    outbox.goodbye();
    tokio::time::sleep(GOODBYE_GRACE).await;
}
