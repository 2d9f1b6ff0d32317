//! The actor of one link: brings it up, keeps asking whether the peer is there, runs the peer's calls, takes
//! it down.
//!
//! ```text
//!   opening ──Ready──▶ up ──▶ ended      by: Closed (the connection broke) · silence · Goodbye · Broken · a successor
//!      └─ READY_DEADLINE ─────▶
//! ```
//!
//! A link lives as long as its connection; the next connection to the same peer is a new link. Whatever ends
//! it, its calls end, its connection is closed, and the dialer is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::dialer::DialerMessage;
use super::greeting::Newcomer;
use super::handshake::Side;
use super::outbox::Outbox;
use super::room::{self, Link, Room};
use super::signals::Signals;
use super::stream::{MeshStream, READ_IDLE_MAX};
use super::transport::{Remote, Session, Transport};
use crate::kernel::envelope::{Invoke, LinkKey, Topics};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::kernel::slot::Slot;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Restart, Timer};

/// Time for the carrier to agree on a link; then it ends.
const READY_DEADLINE: Duration = secs(5);
/// Between two pings.
const PING_EVERY: Duration = secs(2);
/// A peer that answers no ping for this long is gone, even if it still sends: our own data do not reach it.
const SILENCE_MAX: Duration = READ_IDLE_MAX;
/// Calls of one peer that run here at a time; one more is answered with `OVERLOADED`.
const INVOCATIONS_MAX: usize = 256;
/// Time for the goodbye to leave.
const GOODBYE_GRACE: Duration = millis(50);

/// Messages of a link.
#[derive(forge_app_macros::Message)]
pub(super) enum LinkMessage {
    /// The carrier has the connection.
    Opened(Session),
    /// Both sides are ready.
    Ready(Remote),
    /// Time to ask, and to look.
    Tick,
    /// The peer wants a handler to run.
    Invoke(Box<Invoke>),
    /// The peer does not wait for a call any more.
    Cancel {
        /// Its number.
        id: u64,
    },
    /// A call of the peer has ended.
    Finished {
        /// Its number.
        id: u64,
    },
    /// The peer stops.
    Goodbye,
    /// The peer sends nonsense.
    Broken,
    /// The connection has ended.
    Closed,
}

/// The actor.
pub(super) struct LinkActor {
    room: Arc<Room>,
    transport: Arc<Transport>,
    peer: Peer,
    stream: Arc<Slot<MeshStream>>,
}

/// Who is at the other end.
#[derive(Clone)]
struct Peer {
    node: NodeId,
    name: Arc<str>,
    address: Arc<str>,
    key: LinkKey,
    side: Side,
}

/// What a running link has.
pub(super) struct LinkActorState {
    link: Registered,
    session: Option<Session>,
    invocations: HashMap<u64, CancellationToken>,
    opened: Instant,
    cause: &'static str,
    _tick: Timer,
}

/// A link that the room knows of. Ends with its value, so that a crash leaves nothing behind.
struct Registered {
    room: Arc<Room>,
    link: Arc<Link>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.room.remove(&self.link);
        if let Some(dialer) = self.room.dialer.get() {
            let was_up_for = self.link.up_at.get().map(|_| self.link.clock());
            // A dialer that is not there looks for itself when it starts.
            let _gone = dialer.cast(DialerMessage::Ended { node: self.link.node, was_up_for });
        }
    }
}

/// Names the link to a node in the tree: its name, and the end of its id, since names may be shared.
pub(super) fn child_id(node: NodeId, name: &str) -> String {
    let id = node.to_string();
    let tail = id.get(id.len().saturating_sub(8)..).unwrap_or(&id);
    let clean =
        name.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' { c } else { '-' });
    format!("{}.{tail}", clean.take(48).collect::<String>())
}

impl LinkActor {
    /// The child for a connection that has just been made.
    pub(super) fn spec(room: &Arc<Room>, transport: &Arc<Transport>, newcomer: Newcomer) -> ChildSpec {
        let Newcomer { hello, side, key, stream } = newcomer;
        let id = child_id(hello.node, &hello.name);
        let peer =
            Peer { node: hello.node, name: hello.name.into(), address: hello.address.into(), key, side };
        let (room, transport, slot) = (Arc::clone(room), Arc::clone(transport), Arc::new(Slot::new()));
        slot.put(|held| *held = Some(stream));
        let (mut child, _) = ChildSpec::actor(id, move || Self {
            room: Arc::clone(&room),
            transport: Arc::clone(&transport),
            peer: peer.clone(),
            stream: Arc::clone(&slot),
        });
        // A connection cannot be started again; the next one is another link.
        child.restart = Restart::Temporary;
        child
    }

    fn ready(&self, cx: &Context<LinkMessage>, state: &LinkActorState, remote: Remote) {
        let link = Arc::clone(&state.link.link);
        self.room.up(&link);
        tracing::info!(peer = %link.name, node = %link.node, address = %link.mesh_address, "connected to another node");
        link.outbox.interest(Topics::from(&*self.room.hints.interest().borrow()));
        link.outbox.ping(link.clock_us());
        // What was told before there was a link, nobody here has heard.
        self.room.look_at_everything();
        let address = cx.address();
        cx.spawn("pump", async move {
            link.outbox.pump(|frame| remote.send(frame)).await;
            // A link that is stopping knows.
            let _gone = address.cast(LinkMessage::Closed);
        });
    }

    fn tick(&self, cx: &Context<LinkMessage>, state: &mut LinkActorState) {
        let link = &state.link.link;
        let is_up = link.up_at.get().is_some();
        if !is_up && state.opened.elapsed() > READY_DEADLINE {
            return end(cx, state, "never ready");
        }
        if is_up && link.silent_for() > SILENCE_MAX {
            return end(cx, state, "silence");
        }
        link.outbox.ping(link.clock_us());
        state._tick = cx.send_after(PING_EVERY, LinkMessage::Tick);
    }

    fn invoke(&self, cx: &Context<LinkMessage>, state: &mut LinkActorState, invoke: Invoke) {
        let Invoke { id, remaining, mut invocation } = invoke;
        let outbox = Arc::clone(&state.link.link.outbox);
        if state.invocations.len() >= INVOCATIONS_MAX {
            let fault = Fault::new(Code::Overloaded, "the other node has too many calls of this one")
                .retry_after(secs(1));
            return room::answer(&outbox, id, Err(fault));
        }
        let cancelled = CancellationToken::new();
        state.invocations.insert(id, cancelled.clone());
        invocation.deadline = Some(Instant::now() + remaining);
        let (running, address) = (self.room.invoke.invoke(invocation, 0), cx.address());
        cx.spawn("invocation", async move {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => {}
                outcome = running => room::answer(&outbox, id, outcome),
            }
            // A full mailbox costs an entry until the link ends.
            let _full = address.cast(LinkMessage::Finished { id });
        });
    }
}

impl Actor for LinkActor {
    type Message = LinkMessage;
    type State = LinkActorState;
    const KIND: &'static str = "mesh link";
    const MAILBOX_MAX: usize = 1_024;

    async fn start(&self, cx: &Context<LinkMessage>) -> Result<LinkActorState, ActorError> {
        let stream = self.stream.try_take().ok_or("a link is started once")?;
        let Peer { node, name, address, key, side } = &self.peer;
        let link = Arc::new(Link::new(*key, *node, name, address, cx.address()));
        // Known before the carrier has it: the first frame may be faster than this actor.
        self.room.add(Arc::clone(&link));
        let link = Registered { room: Arc::clone(&self.room), link };
        if !self.transport.carry(stream, *side) {
            return Err("the carrier of the mesh has ended".into());
        }
        let tick = cx.send_after(PING_EVERY, LinkMessage::Tick);
        Ok(LinkActorState {
            link,
            session: None,
            invocations: HashMap::new(),
            opened: Instant::now(),
            cause: "stopped",
            _tick: tick,
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
            LinkMessage::Invoke(invoke) => self.invoke(cx, state, *invoke),
            LinkMessage::Cancel { id } => cancel(state, id),
            LinkMessage::Finished { id } => drop(state.invocations.remove(&id)),
            LinkMessage::Goodbye => end(cx, state, "goodbye"),
            LinkMessage::Broken => end(cx, state, "malformed"),
            LinkMessage::Closed => end(cx, state, "closed"),
        }
        Ok(())
    }

    async fn stop(&self, _: &Context<LinkMessage>, state: &mut LinkActorState) {
        let link = &state.link.link;
        Signals::link_ended(state.cause);
        if link.up_at.get().is_some() {
            tracing::info!(peer = %link.name, node = %link.node, cause = state.cause, "disconnected from another node");
        }
        if state.cause == "stopped" {
            say_goodbye(&link.outbox).await;
        }
        if let Some(session) = state.session.take() {
            session.ended().await;
        }
    }
}

fn end(cx: &Context<LinkMessage>, state: &mut LinkActorState, cause: &'static str) {
    state.cause = cause;
    cx.stop(cause);
}

fn cancel(state: &mut LinkActorState, id: u64) {
    if let Some(invocation) = state.invocations.remove(&id) {
        invocation.cancel();
    }
}

/// The pump sends it at once unless the peer takes nothing, and then it will find out by itself.
async fn say_goodbye(outbox: &Outbox) {
    outbox.goodbye();
    tokio::time::sleep(GOODBYE_GRACE).await;
}
