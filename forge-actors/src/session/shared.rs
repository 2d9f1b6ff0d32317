//! State that the actors of all sessions of a node share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use dashmap::DashMap;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::config::SessionsConfig;
use super::limits::STARTS_MAX;
use super::messages::{SessionId, SessionMessage};
use super::signals::SessionSignals;
use crate::app::token::Tokens;
use crate::function::Functions;
use crate::kernel::connection_limiter::ConnectionLimiter;
use crate::kernel::ids::NodeId;
use crate::kernel::log_sampler::LogSampler;
use crate::reactor::Reactor;
use crate::supervise::Address;

/// What sessions need of the node.
pub struct SessionDeps {
    /// Runs mutations.
    pub functions: Functions,
    /// Runs live queries.
    pub reactor: Reactor,
    /// Verifies tokens; `None` accepts no token.
    pub tokens: Option<Tokens>,
    /// Id of this node, sent to clients in `welcome`.
    pub node: NodeId,
    /// Limits of sessions.
    pub config: SessionsConfig,
    /// Hash of the generated `api.ts`, sent to clients in `welcome`.
    pub contract: Option<Arc<str>>,
}

/// State of all sessions of a node. Owned by [`Sessions`](super::Sessions); nothing here waits for a change
/// but the drainer, which awaits `sockets`.
pub(super) struct SessionShared {
    /// Never written.
    pub(super) deps: SessionDeps,
    /// Metric handles; every task of a session writes them.
    pub(super) signals: Arc<SessionSignals>,
    /// The open sockets. Each socket holds a token of the tracker. The drainer closes the tracker when the
    /// node shuts down, and is woken when the last socket is gone.
    pub(super) sockets: TaskTracker,
    /// The addresses of the open sessions. `Sessions::open` inserts, the socket removes itself when it
    /// closes.
    pub(super) open: DashMap<SessionId, Address<SessionMessage>>,
    /// Counts the sessions, in all and by client address.
    pub(super) limiter: Arc<ConnectionLimiter>,
    /// Of the log lines of mutations that failed. Every session writes it.
    pub(super) sampler: LogSampler,
    /// Permits to start a session; never closed.
    pub(super) starts: Semaphore,
    /// True while no reactor runs on this node. Written by the drainer.
    reactor_lost: AtomicBool,
}

impl SessionShared {
    pub(super) fn new(deps: SessionDeps) -> Self {
        let config = &deps.config;
        Self {
            limiter: ConnectionLimiter::new(config.connections_max, config.address_connections_max),
            sampler: LogSampler::new(),
            starts: Semaphore::new(STARTS_MAX),
            signals: Arc::new(SessionSignals::new()),
            sockets: TaskTracker::new(),
            open: DashMap::new(),
            reactor_lost: AtomicBool::new(false),
            deps,
        }
    }

    /// Sends `goAway` to every client that has not been sent one, and lets no further client in. A session
    /// that starts meanwhile sees that `sockets` is closed; a session that had started receives the message.
    pub(super) fn drain(&self) {
        self.sockets.close();
        self.notify_all(|| SessionMessage::Drain);
    }

    pub(super) fn is_reactor_lost(&self) -> bool {
        self.reactor_lost.load(Relaxed)
    }

    /// Closes every session, and lets no further client in until [`reactor_found`](Self::reactor_found).
    pub(super) fn reactor_lost(&self) {
        if !self.reactor_lost.swap(true, Relaxed) {
            tracing::error!(
                sessions = self.open.len(),
                "the reactor of this node is not running: its sessions are closed"
            );
        }
        self.notify_all(|| SessionMessage::ReactorLost);
    }

    /// Lets clients in again.
    pub(super) fn reactor_found(&self) {
        self.reactor_lost.store(false, Relaxed);
    }

    fn notify_all(&self, message: impl Fn() -> SessionMessage) {
        for session in &self.open {
            // A session that has not started yet reads the shared state when it starts. A session whose
            // mailbox is full misses the message: what must arrive is sent again.
            session.notify(message());
        }
    }
}
