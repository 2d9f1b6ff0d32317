//! The socket of a session: holds its place in the limits, writes frames, and sends a close frame when it is
//! dropped.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::limits::UNSENT_BYTES_MAX;
use super::messages::SessionId;
use super::shared::SessionShared;
use super::subprotocol::Subprotocol;
use super::wire::{CloseCode, TextFrame};
use crate::kernel::connection_limiter::ConnectionPermit;
use crate::kernel::limits::CLIENT_BYTES_PER_SECOND_MIN;
use crate::kernel::time::secs;

/// An upgraded connection. A socket that is dropped while it is open sends 1012 (the session's actor crashed
/// or was stopped), or 1001 when the node shuts down.
pub(super) struct SessionSocket {
    pub(super) id: SessionId,
    pub(super) stream: TcpStream,
    /// What the client sent right behind its request.
    pub(super) early_bytes: Bytes,
    pub(super) shared: Arc<SessionShared>,
    subprotocol: Subprotocol,
    _permit: ConnectionPermit,
    /// The drainer waits until no socket holds such a token.
    _open: TaskTrackerToken,
    /// When a write that waited for the client last went on.
    progressed_at: Instant,
    /// Part of a frame is written, so that no other frame can be.
    mid_frame: bool,
    /// The close frame is written, or the client is gone.
    closed: bool,
}

/// Why nothing can be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteError {
    Disconnected,
    /// The client took what was written to it too slowly.
    TooSlow,
}

impl SessionSocket {
    pub(super) fn new(
        id: SessionId,
        stream: TcpStream,
        early_bytes: Bytes,
        subprotocol: Subprotocol,
        permit: ConnectionPermit,
        shared: Arc<SessionShared>,
    ) -> Self {
        let kernel = socket2::SockRef::from(&stream);
        if let Err(error) = kernel.set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
            tracing::debug!(
                %error,
                "TCP_NOTSENT_LOWAT was refused: a slow client gets more old frames before newer ones"
            );
        }
        shared.signals.open.increment(1.0);
        shared.signals.opened.increment(1);
        let open = shared.sockets.token();
        Self {
            id,
            stream,
            early_bytes,
            shared,
            subprotocol,
            _permit: permit,
            _open: open,
            progressed_at: Instant::now(),
            mid_frame: false,
            closed: false,
        }
    }

    /// Closes with what fits into the kernel's buffer, without waiting.
    pub(super) fn refuse(mut self, code: CloseCode) {
        self.close_at_once(code);
    }

    /// True when the next byte that is written begins a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        !self.mid_frame
    }

    /// When a write that waited for the client last went on.
    pub(super) fn progressed_at(&self) -> Instant {
        self.progressed_at
    }

    /// Records that the connection was closed in order, so that dropping the socket sends nothing.
    pub(super) fn set_closed(&mut self) {
        self.closed = true;
    }

    /// Writes a frame, in parts when it is large and the client takes parts.
    pub(super) async fn write_frame(&mut self, frame: &TextFrame) -> Result<(), WriteError> {
        match self.subprotocol {
            Subprotocol::V1Parts if frame.is_large() => {
                for part in frame.parts() {
                    self.write(part.as_bytes()).await?;
                }
                Ok(())
            }
            Subprotocol::V1 | Subprotocol::V1Parts => self.write(frame.as_bytes()).await,
        }
    }

    /// Writes all of `bytes`. From the moment at which the kernel's buffer is full, the client has
    /// `sessions.write_timeout` to take more, and each time again, as long as it takes
    /// [`CLIENT_BYTES_PER_SECOND_MIN`] on average.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        let mut stalled_first: Option<(Instant, usize)> = None;
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(WriteError::Disconnected),
                Ok(taken) => {
                    bytes = &bytes[taken..];
                    self.mid_frame = !bytes.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let (stalled_at, bytes_left) =
                        *stalled_first.get_or_insert((Instant::now(), bytes.len()));
                    let seconds_earned = (bytes_left - bytes.len()) as u64 / CLIENT_BYTES_PER_SECOND_MIN;
                    let limit = self.shared.deps.config.write_timeout;
                    let time_left = (limit + secs(seconds_earned)).saturating_sub(stalled_at.elapsed());
                    let writable = timeout(limit.min(time_left), self.stream.writable()).await;
                    writable.map_err(|_| WriteError::TooSlow)?.map_err(|_| WriteError::Disconnected)?;
                    self.progressed_at = Instant::now();
                }
                Err(_) => return Err(WriteError::Disconnected),
            }
        }
        Ok(())
    }

    fn close_at_once(&mut self, code: CloseCode) {
        if std::mem::replace(&mut self.closed, true) || self.mid_frame {
            return;
        }
        self.shared.signals.closed(code);
        // Four bytes either fit into the kernel's buffer whole or, when the client does not read, not at all.
        if let Err(error) = self.stream.try_write(&code.frame()) {
            tracing::debug!(%error, "the close frame could not be written");
        }
    }
}

impl Drop for SessionSocket {
    fn drop(&mut self) {
        self.shared.open.remove(&self.id);
        self.shared.signals.open.decrement(1.0);
        let draining = self.shared.sockets.is_closed();
        self.close_at_once(if draining { CloseCode::GoingAway } else { CloseCode::Restarted });
    }
}
