//! The accept loop, as plain asynchronous code; [`listener`](super::listener) puts it under supervision.
//!
//! ```text
//! accepting ──drain──▶ port closed ──drain_timeout──▶ ended
//!                          └─all connections ended──▶ ended
//! ```
//! Over `address_connections_max` of its address, unless that is a trusted proxy's, and over
//! `connections_max` when no open connection is idle (`connection_table`), a connection is accepted, answered
//! 503 with `Retry-After`, and closed: a client that reads the response comes back later, while a connection
//! that is left in the kernel's queue waits for nothing. When accepting fails (file descriptors run out) the
//! loop pauses and goes on. Dropping the future of [`serve`] cuts every connection, since the future owns
//! their tasks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::activity::LINGER;
use super::connection_table::{ConnectionSource, ConnectionTable};
use super::port::Port;
use super::shared::GatewayShared;
use super::{connection, envelope, signals};
use crate::kernel::connection_limiter::ConnectionLimit;
use crate::kernel::refusals::connections_full;
use crate::kernel::trace::TraceContext;

/// Pause after a failed accept: long enough for a connection to end, short enough to go unnoticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Refused connections that are kept open until their client has read why; further ones are closed at once.
const REFUSALS_LINGERING_MAX: usize = 64;
/// When a client that was refused may try again.
const REFUSAL_RETRY: Duration = Duration::from_secs(1);

/// Accepts and serves connections until `drain` is cancelled, then drains them. Ends when the last connection
/// has ended. The caller must have made the node not ready for `drain_delay` before cancelling `drain`.
pub(super) async fn serve(
    shared: Arc<GatewayShared>,
    port: Arc<Port>,
    listener: TcpListener,
    drain: CancellationToken,
) {
    let mut connections = Connections::new(shared);
    connections.accept_until(&listener, drain.cancelled()).await;
    let timeout = connections.shared.config.drain_timeout;
    port.close();
    drop(listener);
    connections.finish(timeout).await;
}

/// The tasks of the open connections; dropping them aborts the connections.
struct Connections {
    shared: Arc<GatewayShared>,
    protocol: Arc<connection::Protocol>,
    table: ConnectionTable,
    refusals: Arc<Semaphore>,
    tasks: JoinSet<()>,
    closing: CancellationToken,
}

impl Connections {
    fn new(shared: Arc<GatewayShared>) -> Self {
        let config = &shared.config;
        Self {
            protocol: Arc::new(connection::protocol(config)),
            table: ConnectionTable::new(config.connections_max, config.address_connections_max),
            refusals: Arc::new(Semaphore::new(REFUSALS_LINGERING_MAX)),
            tasks: JoinSet::new(),
            closing: CancellationToken::new(),
            shared,
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
                    Ok((stream, peer)) => self.accept(stream, peer),
                    Err(error) if is_of_the_connection(&error) => {
                        tracing::debug!(%error, "a connection ended before it was accepted");
                    }
                    Err(error) => {
                        tracing::error!(%error, "accepting connections failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
        }
        let source = match self.shared.proxies.trusts(peer.ip()) {
            true => ConnectionSource::Proxy,
            false => ConnectionSource::Client(peer.ip()),
        };
        let entry = match self.table.admit(source, self.closing.child_token()) {
            Ok(entry) => entry,
            Err(limit) => return self.refuse(stream, limit),
        };
        let run = connection::run(Arc::clone(&self.shared), Arc::clone(&self.protocol), stream, peer, entry);
        let open = self.shared.signals.connection_opened();
        self.tasks.spawn(async move {
            let _open: signals::OpenConnection = open;
            run.await;
        });
    }

    fn refuse(&mut self, stream: TcpStream, limit: ConnectionLimit) {
        self.shared.signals.connection_refused();
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        self.tasks.spawn(async move {
            let _permit = permit;
            // A client that is gone does not miss the response, and nothing else depends on it.
            if let Ok(Err(error)) = tokio::time::timeout(LINGER, answer_refused(stream, limit)).await {
                tracing::debug!(%error, "a refused connection could not be answered");
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
            let connections = self.tasks.len();
            tracing::warn!(connections, "HTTP drain timed out: the remaining connections are closed");
            self.tasks.shutdown().await;
        }
    }
}

/// Answers 503, then reads until the client closes: closing a socket with unread bytes resets the connection,
/// and the client would lose the response.
async fn answer_refused(mut stream: TcpStream, limit: ConnectionLimit) -> io::Result<()> {
    let fault = connections_full(limit, "connections", "gateway");
    let body = envelope::error(&fault, &TraceContext::new_root().trace_id_hex());
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: {}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        envelope::retry_after_seconds(REFUSAL_RETRY),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

/// The error is of the connection that was next in the queue, not of the port (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "the task of a connection panicked");
    }
}
