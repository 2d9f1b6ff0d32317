//! Sessions: one supervised actor for each WebSocket, which speaks the frames of the reference
//! (`websocket.md`). A part of the gateway subsystem: `node/gateway/sessions`, section `[sessions]`.
//!
//! ```text
//!   client ──frames──▶ connection ──▶ mailbox ──▶ SessionActor: SessionState::step decides, the actor acts
//!     ▲                     ▲                       │ replies      │ subscribe     │ submit
//!     └── one frame at a ───┤ takes when            ▼              ▼               ▼
//!         time              └─ writable ── SendBuffer ◀─newest── reactor     function subsystem
//!                                          (ClientState)  results
//!
//!   Greeting ──hello──▶ Open ──drain──▶ `goAway` sent ──go_away_after──▶ Leaving ──last mutation──▶ closed
//!      └─ hello_timeout ─▶ closed (1008)
//!   token valid ──exp──▶ lapsed: results are held, mutations wait ──5 s──▶ closed (4401)
//!       ▲────────── auth ─────────┘
//! ```
//!
//! A subscription has three owners, each of another fact: `state` keeps what the client asked for, the send
//! buffer's `client_state` what the client has been sent and what is to be sent next, the reactor computes
//! the result. `state` and `client_state` are pure.
//!
//! Invariants
//! - What waits for a client is one result for each subscription, the newest, and never a queue of results: a
//!   client that reads slowly costs the node its newest results and one frame that is being written.
//! - Whatever a client sends, its bytes are read in turns of a limited size (`reader`), and what does not
//!   become a frame ends the connection, by its bytes or by its time (`arrival`).
//! - While a write waits for the client, no frame of the client is read, so few replies wait; they are
//!   counted, and one too many closes the connection.
//! - A subscription gets a new id whenever it is opened again (for another caller, or on a restarted
//!   reactor). A result under the former id that arrives later is dropped.
//! - Nothing that was computed for one caller is sent after the next caller is known, and nothing at all
//!   after a token expired.
//! - The mutations of a connection run one after the other, as the caller who sent them. While the token has
//!   lapsed none starts.
//!
//! Memory: an idle session with one subscription keeps 18 KiB resident (`just bench fanout`). Most of it are
//! ractor's two mailboxes (7 KB), its task with the session's state (5) and the socket's task (2). Hyper's
//! read buffer would be another 16, so it is let go.
//!
//! The drainer ends the sessions in order when the node shuts down or has no reactor.
//!
//! Failure: a session is never restarted, since its socket is gone with it. A session that is stopped or
//! crashes sends 1012 before its socket closes, and the client connects again. A client that breaks the
//! protocol is sent a `fault` and a close code.

mod actor;
mod arrival;
mod client_state;
pub mod config;
mod connection;
mod drainer;
mod frame;
mod limits;
pub mod messages;
mod reader;
mod render;
mod send_buffer;
mod shared;
pub mod signals;
mod socket;
mod state;
mod subprotocol;
mod version_mismatch;
mod wire;

#[cfg(test)]
mod tests;

pub use limits::{DRAINER_ID, SUPERVISOR_ID};
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kernel::connection_limiter::ConnectionPermit;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::refusals::connections_full;
use crate::kernel::time::secs;
use crate::supervise::{ChildSpec, Children, DynamicSpec, Mailbox, Restart};

use actor::SessionActor;
use drainer::SessionDrainer;
use messages::SessionId;
pub use shared::SessionDeps;
use shared::SessionShared;
pub use socket::AcceptedSocket;
use socket::SessionSocket;
pub use state::RemoteClient;
pub use subprotocol::Subprotocol;
use wire::CloseCode;

/// All sessions of a node. Clones share the same sessions.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<SessionShared>,
    children: Children,
}

/// How many sessions a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStats {
    /// Open sessions.
    pub open: usize,
    /// The limit of open sessions.
    pub open_max: usize,
}

impl Sessions {
    /// The sessions, and their children in start order: `sessions`, the supervisor of the sessions' actors,
    /// and `session_drainer`, which ends the sessions in order before that supervisor stops.
    pub fn new(deps: SessionDeps) -> (Self, [ChildSpec; 2]) {
        // The connection limiter counts sockets. The actor of a socket that has closed may still be stopping,
        // so the supervisor is given twice the number.
        let children_max = deps.config.connections_max.saturating_mul(2);
        let (supervisor, children) = ChildSpec::dynamic(SUPERVISOR_ID, DynamicSpec::new(children_max));
        let shared = Arc::new(SessionShared::new(deps));
        let drainer = SessionDrainer::spec(Arc::clone(&shared));
        (Self { shared, children }, [supervisor, drainer])
    }

    /// A permit for a session of a client from `ip`, to be acquired before the connection is upgraded.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the node shuts down or has no reactor; `OVERLOADED` when the node or the client's
    /// address has its maximum of sessions open.
    pub fn admit(&self, ip: IpAddr) -> Result<ConnectionPermit, Fault> {
        let unavailable = |message| Err(Fault::new(Code::Unavailable, message).retry_after(secs(1)));
        if self.shared.sockets.is_closed() {
            return unavailable("the node is stopping");
        }
        if self.shared.is_reactor_lost() {
            return unavailable("live queries do not run on this node");
        }
        self.shared.limiter.acquire(ip).map_err(|limit| {
            self.shared.signals.refused.increment(1);
            connections_full(limit, "WebSockets", "sessions")
        })
    }

    /// Starts the session of an upgraded connection.
    pub async fn open(&self, accepted: AcceptedSocket, subprotocol: Subprotocol, client: RemoteClient) {
        let id = SessionId::new();
        let socket = SessionSocket::new(id, accepted, subprotocol, Arc::clone(&self.shared));
        // The semaphore is never closed.
        let _start = self.shared.starts.acquire().await;
        let slot = Arc::new(MergeSlot::new());
        slot.put(|place| *place = Some(socket));
        let (shared, waiting) = (Arc::clone(&self.shared), Arc::clone(&slot));
        let make = move || SessionActor::new(id, Arc::clone(&shared), client.clone(), Arc::clone(&waiting));
        let (mailbox, address) = Mailbox::of::<SessionActor>();
        let mut spec = ChildSpec::with_mailbox(id.to_string(), mailbox, make);
        spec.restart = Restart::Temporary;
        self.shared.open.insert(id, address);
        if let Err(error) = self.children.start_child(spec, limits::START_TIMEOUT).await {
            tracing::warn!(session = %id, error = error_chain(&error), "a session did not start");
            if let Some(socket) = slot.try_take() {
                socket.refuse(CloseCode::TryAgainLater);
            }
        }
    }

    /// Sends `goAway` to every client, and lets no further client in. The drainer waits for the sessions when
    /// it is stopped.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// How many sessions are open.
    pub fn stats(&self) -> SessionStats {
        SessionStats { open: self.shared.limiter.open(), open_max: self.shared.deps.config.connections_max }
    }
}
