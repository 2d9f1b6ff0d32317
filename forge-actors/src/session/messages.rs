//! The sessions' public face: the gateway asks for a seat, upgrades, and hands the socket over.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::actor::{SessionActor, SessionMessage};
use super::config::SessionsConfig;
use super::door::Door;
use super::limits::{START_PATIENCE, STARTS_MAX, SUBPROTOCOL as PROTOCOL};
pub use super::seats::Seat;
use super::seats::Seats;
use super::signals::Signals;
use super::socket::Socket;
pub use super::state::Peer;
use super::wire::CloseCode;
use crate::app::token::Tokens;
use crate::function::Functions;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::NodeId;
use crate::kernel::slot::Slot;
use crate::kernel::time::{Timestamp, secs};
use crate::reactor::Reactor;
use crate::supervise::{Address, CallError, ChildSpec, Children, DynamicSpec, Restart};

/// The subprotocol that a client offers and the server chooses.
pub const SUBPROTOCOL: &str = PROTOCOL;

crate::id! {
    /// Names one session: the last segment of its actor's path.
    pub SessionId,
}

/// What sessions need of the node.
pub struct SessionsNeeds {
    /// Runs mutations.
    pub functions: Functions,
    /// Runs live queries.
    pub reactor: Reactor,
    /// Verifies tokens; `None` accepts none.
    pub tokens: Option<Tokens>,
    /// Told to clients.
    pub node: NodeId,
    /// Limits.
    pub config: SessionsConfig,
    /// Hash of the generated `api.ts`, told to clients.
    pub contract: Option<Arc<str>>,
}

/// All sessions of a node. A clone is a handle to the same.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
    children: Children,
}

/// What all sessions share.
pub(super) struct Shared {
    pub(super) functions: Functions,
    pub(super) reactor: Reactor,
    pub(super) tokens: Option<Tokens>,
    pub(super) node: NodeId,
    pub(super) config: SessionsConfig,
    pub(super) contract: Option<Arc<str>>,
    pub(super) signals: Arc<Signals>,
    /// Who is in. Closed when the node is on its way out.
    pub(super) sockets: TaskTracker,
    /// There is no reactor, so that nobody is let in.
    shut: AtomicBool,
    pub(super) open: DashMap<SessionId, Address<SessionMessage>>,
    seats: Arc<Seats>,
    starts: Semaphore,
}

/// Numbers about all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStats {
    /// Open sessions.
    pub open: usize,
    /// How many there may be.
    pub open_max: usize,
}

/// One session, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// `sub` of its token.
    pub subject: Option<String>,
    /// Address of the client.
    pub address: IpAddr,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// Since when it is connected.
    pub connected_at: Timestamp,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// Its mutations that run or wait.
    pub mutations: usize,
}

impl Sessions {
    /// The sessions, and the gateway's children in start order: `sessions`, their supervisor, and `door`,
    /// which sees them out before that stops.
    pub fn new(needs: SessionsNeeds) -> (Self, [ChildSpec; 2]) {
        let SessionsNeeds { functions, reactor, tokens, node, config, contract } = needs;
        // Seats are what is counted; one that is free again may have a child that is still being cleared
        // away.
        let (spec, children) =
            ChildSpec::dynamic("sessions", DynamicSpec::new(config.connections_max.saturating_mul(2)));
        let shared = Arc::new(Shared {
            seats: Seats::new(config.connections_max, config.address_connections_max),
            starts: Semaphore::new(STARTS_MAX),
            signals: Arc::new(Signals::new()),
            sockets: TaskTracker::new(),
            shut: AtomicBool::new(false),
            open: DashMap::new(),
            functions,
            reactor,
            tokens,
            node,
            config,
            contract,
        });
        let door = Door::spec(Arc::clone(&shared));
        (Self { shared, children }, [spec, door])
    }

    /// A seat for a client from `ip`, before its connection is upgraded.
    pub fn admit(&self, ip: IpAddr) -> Result<Seat, Fault> {
        let closed = |message| Err(Fault::new(Code::Unavailable, message).retry_after(secs(1)));
        if self.shared.sockets.is_closed() {
            return closed("the node is stopping");
        }
        if self.shared.shut.load(Relaxed) {
            return closed("live queries do not run on this node");
        }
        self.shared.seats.take(ip).inspect_err(|_| self.shared.signals.refused.increment(1))
    }

    /// Starts the session of an upgraded connection. `read` is what the client sent on the heels of its
    /// request.
    pub async fn open(&self, stream: TcpStream, read: Bytes, peer: Peer, seat: Seat) {
        let id = SessionId::new();
        let socket = Socket::new(id, stream, read, seat, Arc::clone(&self.shared));
        // The semaphore is never closed.
        let _start = self.shared.starts.acquire().await;
        let slot = Arc::new(Slot::new());
        slot.put(|place| *place = Some(socket));
        let (shared, waiting) = (Arc::clone(&self.shared), Arc::clone(&slot));
        let make = move || SessionActor::new(id, Arc::clone(&shared), peer.clone(), Arc::clone(&waiting));
        let (mut spec, address) = ChildSpec::actor(id.to_string(), make);
        spec.restart = Restart::Temporary;
        self.shared.open.insert(id, address);
        if let Err(error) = self.children.start_child(spec, START_PATIENCE).await {
            tracing::warn!(session = %id, %error, "a session did not start");
            if let Some(socket) = slot.try_take() {
                socket.refuse(CloseCode::Busy);
            }
        }
    }

    /// Tells every client to connect elsewhere, and lets nobody in any more. The door waits for them when it
    /// is stopped.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Numbers.
    pub fn stats(&self) -> SessionStats {
        SessionStats { open: self.shared.seats.taken(), open_max: self.shared.config.connections_max }
    }

    /// What one session says about itself; `Gone` when there is none of that id.
    pub async fn describe(&self, id: SessionId, deadline: Duration) -> Result<SessionInfo, CallError> {
        let address = self.shared.open.get(&id).map(|address| address.clone()).ok_or(CallError::Gone)?;
        address.call(SessionMessage::Describe, deadline).await
    }
}

impl Shared {
    /// Who starts after this sees that the sockets are closed, and whoever had started before gets the
    /// message.
    pub(super) fn drain(&self) {
        if self.sockets.close() {
            self.tell_all(|| SessionMessage::Drain);
        }
    }

    pub(super) fn shut(&self) {
        if !self.shut.swap(true, Relaxed) {
            tracing::error!(
                sessions = self.open.len(),
                "the reactor is gone, and so are the sessions: clients connect elsewhere"
            );
        }
        self.tell_all(|| SessionMessage::Abandoned);
    }

    pub(super) fn unshut(&self) {
        self.shut.store(false, Relaxed);
    }

    fn tell_all(&self, message: impl Fn() -> SessionMessage) {
        for session in &self.open {
            // One that is not there yet looks for itself; one whose mailbox is full is about to be closed for
            // it.
            let _missed = session.cast(message());
        }
    }
}
