//! The port and the accept loop, as plain asynchronous code; [`actor`](super::actor) puts them under
//! supervision.
//!
//! ```text
//! accepting ──drain──▶ accepting, not ready ──drain_delay──▶ port closed, connections finish ──all ended, or drain_timeout──▶ ended
//! ```
//! Over `connections_max` a connection is accepted, answered 503 with `Retry-After`, and closed: a client
//! that is told comes back later, one that is left in the kernel's queue waits for nothing. When accepting
//! fails (file descriptors run out) the loop pauses and goes on. Dropping the future of [`serve`] cuts every
//! connection, since it owns their tasks.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::config::GatewayConfig;
use super::pulse::LINGER;
use super::routes::{Border, Gateway};
use super::{connection, envelope, signals};
use crate::kernel::diagnose::{Diagnose, FailureKind};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::trace::TraceContext;

/// Pause after a failed accept: long enough to let connections end, short enough to go unnoticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Refused connections that are waited for so that they can read why; further ones are closed at once.
const REFUSALS_LINGERING_MAX: usize = 64;
/// When a client that found no room may come again.
const REFUSAL_RETRY: Duration = Duration::from_secs(1);
/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{address} is in use by another process; stop that one, or set another `gateway.port`")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system reserves it.
    #[error(
        "{address} may not be opened by this user; ports below 1024 need a privilege, set another `gateway.port`"
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
    },
    /// The address is another machine's.
    #[error(
        "{address} is no address of this machine; set `gateway.host` to one, or to 0.0.0.0 for all of them"
    )]
    NotLocal {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("{address} cannot be opened")]
    Io {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "port-in-use",
            Self::NotPermitted { .. } => "port-not-permitted",
            Self::NotLocal { .. } => "host-not-local",
            Self::Io { .. } => "port",
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Failed
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        Some("choose another one with --port or --host".into())
    }
}

impl Error {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { address },
            _ => Self::Io { address, source },
        }
    }
}

/// The port. It is opened once, before anything is supervised, and stays open while the listener crashes and
/// restarts: the kernel queues who knocks meanwhile, and nobody is refused.
pub struct Port {
    address: SocketAddr,
    open: ArcSwapOption<std::net::TcpListener>,
}

impl Port {
    /// Opens it. [`address`](Self::address) tells the port that was taken for 0.
    pub fn open(config: &GatewayConfig) -> Result<Self, Error> {
        let listener = listen(config.address())?;
        let address = listener.local_addr().map_err(|error| Error::new(config.address(), error))?;
        Ok(Self { address, open: ArcSwapOption::from_pointee(listener) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle to accept from, on the current runtime. Opens the port again when it was closed.
    pub fn listener(&self) -> Result<TcpListener, Error> {
        let error = |source| Error::new(self.address, source);
        let open = match self.open.load_full() {
            Some(open) => open,
            None => {
                let open = Arc::new(listen(self.address)?);
                self.open.store(Some(Arc::clone(&open)));
                open
            }
        };
        TcpListener::from_std(open.try_clone().map_err(error)?).map_err(error)
    }

    /// Refuses connections from now on, as soon as the last listener is dropped.
    pub fn close(&self) {
        self.open.store(None);
    }
}

/// The standard library sets SO_REUSEADDR, so a restart does not wait for old connections to leave TIME_WAIT.
fn listen(address: SocketAddr) -> Result<std::net::TcpListener, Error> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| Error::new(address, error))?;
    listener.set_nonblocking(true).map_err(|error| Error::new(address, error))?;
    Ok(listener)
}

/// Accepts and serves until `drain` is cancelled, then drains. Ends when the last connection did. Who cancels
/// has made the node say that it is not ready.
pub async fn serve<B: Border>(
    gateway: Gateway<B>,
    port: Arc<Port>,
    listener: TcpListener,
    drain: CancellationToken,
) {
    let mut connections = Connections::new(gateway);
    connections.accept_until(&listener, drain.cancelled()).await;
    let config = connections.gateway.config();
    let (delay, timeout) = (config.drain_delay, config.drain_timeout);
    connections.accept_until(&listener, tokio::time::sleep(delay)).await;
    port.close();
    drop(listener);
    connections.finish(timeout).await;
}

/// The connections' tasks; dropping it aborts them.
struct Connections<B> {
    gateway: Gateway<B>,
    protocol: Arc<hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>>,
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: JoinSet<()>,
    closing: CancellationToken,
}

impl<B: Border> Connections<B> {
    fn new(gateway: Gateway<B>) -> Self {
        Self {
            protocol: Arc::new(connection::protocol(gateway.config())),
            room: Arc::new(Semaphore::new(gateway.config().connections_max.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS_LINGERING_MAX)),
            tasks: JoinSet::new(),
            closing: CancellationToken::new(),
            gateway,
        }
    }

    async fn accept_until(&mut self, listener: &TcpListener, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return,
                Some(ended) = self.tasks.join_next() => report(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer),
                    Err(error) if is_the_peers(&error) => tracing::debug!(%error, "a connection ended before it was accepted"),
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn take(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
        }
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => {
                let run = connection::run(
                    self.gateway.clone(),
                    Arc::clone(&self.protocol),
                    stream,
                    peer,
                    self.closing.child_token(),
                );
                let open = self.gateway.signals().connection_opened();
                self.tasks.spawn(async move {
                    let _held: (OwnedSemaphorePermit, signals::OpenConnection) = (permit, open);
                    run.await;
                });
            }
            Err(_) => self.refuse(stream),
        }
    }

    fn refuse(&mut self, stream: TcpStream) {
        self.gateway.signals().connection_refused();
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        self.tasks.spawn(async move {
            let _held = permit;
            // Best effort: the client may be gone, and nothing depends on it.
            if let Ok(Err(error)) = tokio::time::timeout(LINGER, say_refused(stream)).await {
                tracing::debug!(%error, "a refused connection did not hear why");
            }
        });
    }

    async fn finish(mut self, timeout: Duration) {
        self.closing.cancel();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(timeout, all).await.is_err() {
            tracing::warn!(
                connections = self.tasks.len(),
                "drain_timeout is over: the remaining connections are cut"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Reads until the client closes: a close with unread bytes would reset the connection before the answer is
/// read.
async fn say_refused(mut stream: TcpStream) -> io::Result<()> {
    let fault = Fault::new(Code::Overloaded, "the node has no room for another connection")
        .retry_after(REFUSAL_RETRY);
    let body = envelope::error(&fault, &TraceContext::new_root().trace_id_hex());
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        envelope::retry_after_seconds(REFUSAL_RETRY),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

/// Errors of the connection that was next, not of the port (accept(2)).
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
