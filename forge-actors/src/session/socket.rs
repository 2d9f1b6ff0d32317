//! The socket of a session: holds its place in the limits, writes frames, and sends a close frame when it is
//! dropped.

use std::io::{self, IoSlice};
use std::net::IpAddr;
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
use crate::kernel::byte_budget::{BudgetClient, SMALL_BYTES_MAX};
use crate::kernel::connection_limiter::ConnectionPermit;
use crate::kernel::limits::CLIENT_BYTES_PER_SECOND_MIN;
use crate::kernel::time::secs;

/// A connection that was upgraded, and what it holds of the limits.
pub struct AcceptedSocket {
    /// The connection.
    pub stream: TcpStream,
    /// What the client sent right behind its request.
    pub early_bytes: Bytes,
    /// The session's place among those of the node and of the address.
    pub permit: ConnectionPermit,
    /// The client's part of `gateway.responses_bytes_max`.
    pub responses: Arc<BudgetClient<IpAddr>>,
}

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
    /// The client's part of `gateway.responses_bytes_max`.
    pub(super) responses: Arc<BudgetClient<IpAddr>>,
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
        accepted: AcceptedSocket,
        subprotocol: Subprotocol,
        shared: Arc<SessionShared>,
    ) -> Self {
        let AcceptedSocket { stream, early_bytes, permit, responses } = accepted;
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
            responses,
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

    /// Writes a frame, in parts when it is large and the client takes parts. While memory that the frame
    /// holds is scarce, the client must take the whole frame within `sessions.write_timeout`.
    pub(super) async fn write_frame(&mut self, frame: &TextFrame) -> Result<(), WriteError> {
        let (began, limit) = (Instant::now(), self.shared.deps.config.write_timeout);
        let (is_large, responses) = (frame.len() > SMALL_BYTES_MAX, Arc::clone(&self.responses));
        let _charge = is_large.then(|| responses.charge(frame.uncounted_bytes()));
        let is_given_up = || {
            let is_scarce = || frame.holds_scarce_memory() || (is_large && responses.is_scarce());
            began.elapsed() > limit && is_scarce()
        };
        match self.subprotocol {
            Subprotocol::V1Parts if frame.is_large() => {
                for part in frame.parts() {
                    self.write_slices(&mut part.slices().map(IoSlice::new), &is_given_up).await?;
                }
            }
            Subprotocol::V1 | Subprotocol::V1Parts => {
                let mut slices: Vec<IoSlice<'_>> = frame.slices().map(IoSlice::new).collect();
                self.write_slices(&mut slices, &is_given_up).await?;
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.write_slices(&mut [IoSlice::new(bytes)], &|| false).await
    }

    /// From the moment at which the kernel's buffer is full, the client has `sessions.write_timeout` to take
    /// more, and each time again, as long as it takes [`CLIENT_BYTES_PER_SECOND_MIN`] on average.
    async fn write_slices(
        &mut self,
        mut slices: &mut [IoSlice<'_>],
        is_given_up: &(impl Fn() -> bool + Sync),
    ) -> Result<(), WriteError> {
        let limit = self.shared.deps.config.write_timeout;
        let mut stalled_first = None;
        let mut taken = 0;
        // Without empty slices at the front, which nothing could be written of.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.stream.try_write_vectored(slices) {
                Ok(0) => return Err(WriteError::Disconnected),
                Ok(count) => {
                    taken += count as u64;
                    IoSlice::advance_slices(&mut slices, count);
                    self.mid_frame = !slices.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let (stalled_at, taken_before) = *stalled_first.get_or_insert((Instant::now(), taken));
                    if is_given_up() {
                        return Err(WriteError::TooSlow);
                    }
                    let earned = secs((taken - taken_before) / CLIENT_BYTES_PER_SECOND_MIN);
                    let time_left = (limit + earned).saturating_sub(stalled_at.elapsed());
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
