//! The task that owns a client's socket: reads frames when nothing waits to be written, writes what is newest
//! when it can.
//!
//! tungstenite takes frames apart and checks them; its own answers (pongs, the echo of a close) land in
//! `replies` and are written here, so that no two writers meet on one socket.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tungstenite::error::{Error as WireError, ProtocolError};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use super::actor::SessionMessage;
use super::frame::{self, not_a_frame};
use super::limits::{LINGER, LINGER_BYTES_MAX, READ_BUFFER_BYTES, READS_AT_ONCE_MAX, UNSENT_BYTES_MAX};
use super::messages::{SessionId, Shared};
use super::outlet::{End, Outlet, Pending};
use super::render::ServerFrame;
use super::seats::Seat;
use super::view::View;
use super::wire::{CloseCode, PING_FRAME};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::token_bucket::TokenBucket;
use crate::kernel::trace::TraceContext;

/// An upgraded connection. Dropped while it is open, it says on its way out that the session restarts.
pub(super) struct Socket {
    id: SessionId,
    stream: TcpStream,
    read: Bytes,
    shared: Arc<Shared>,
    _seat: Seat,
    /// The door waits for it.
    _open: TaskTrackerToken,
    /// Part of a frame is written: nothing else may be said.
    mid_frame: bool,
    /// The close frame is written, or the client is gone.
    closed: bool,
}

impl Socket {
    pub(super) fn new(
        id: SessionId,
        stream: TcpStream,
        read: Bytes,
        seat: Seat,
        shared: Arc<Shared>,
    ) -> Self {
        let kernel = socket2::SockRef::from(&stream);
        if let Err(error) = kernel.set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT was refused: a slow client gets more old frames before newer ones");
        }
        shared.signals.open.increment(1.0);
        shared.signals.opened.increment(1);
        let open = shared.sockets.token();
        Self { id, stream, read, shared, _seat: seat, _open: open, mid_frame: false, closed: false }
    }

    /// Closes with what fits into the kernel's buffer, without waiting.
    pub(super) fn refuse(mut self, code: CloseCode) {
        self.say_goodbye(code);
    }

    fn say_goodbye(&mut self, code: CloseCode) {
        if std::mem::replace(&mut self.closed, true) || self.mid_frame {
            return;
        }
        self.shared.signals.closed(code);
        // Four bytes into a buffer that was drained go whole or, to a client that does not read, not at all.
        if let Err(error) = self.stream.try_write(&code.frame()) {
            tracing::debug!(%error, "the client was not told why its connection closes");
        }
    }

    /// Writes all of it, while the client takes some of it from time to time.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(Gone::Left),
                Ok(taken) => {
                    bytes = &bytes[taken..];
                    self.mid_frame = !bytes.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = timeout(self.shared.config.write_timeout, self.stream.writable()).await;
                    writable.map_err(|_| Gone::Slow)?.map_err(|_| Gone::Left)?;
                }
                Err(_) => return Err(Gone::Left),
            }
        }
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shared.open.remove(&self.id);
        self.shared.signals.open.decrement(1.0);
        let draining = self.shared.sockets.is_closed();
        self.say_goodbye(if draining { CloseCode::GoingAway } else { CloseCode::Restarted });
    }
}

/// Why nothing can be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    Left,
    Slow,
}

/// How a connection ends.
enum Ending {
    /// The client closed it, or it broke.
    Left,
    /// The server closes it, after it has said why.
    Closed(End),
}

impl From<Gone> for Ending {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Left => Self::Left,
            Gone::Slow => Self::Closed(End { code: CloseCode::Busy, fault: None }),
        }
    }
}

/// Serves a socket to its end, and tells the actor.
pub(super) async fn serve(socket: Socket, outlet: Arc<Outlet>) {
    let mut line = Line::new(socket, Arc::clone(&outlet));
    let ending = line.run().await;
    if let Ending::Closed(end) = ending {
        tracing::debug!(session = %line.socket.id, code = end.code.number(), fault = end.fault.as_ref().map(tracing::field::display), "closing");
        line.close(end).await;
    }
    line.socket.closed = true;
    drop(line);
    outlet.tell(SessionMessage::Disconnected);
}

struct Line {
    socket: Socket,
    outlet: Arc<Outlet>,
    context: WebSocketContext,
    /// What tungstenite wants to say.
    replies: Vec<u8>,
    view: View,
    bucket: TokenBucket,
    heard_at: Instant,
}

impl Line {
    fn new(mut socket: Socket, outlet: Arc<Outlet>) -> Self {
        let config = &socket.shared.config;
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(config.frame_bytes_max))
            .max_frame_size(Some(config.frame_bytes_max));
        let now = Instant::now();
        let bucket = TokenBucket::full(config.frames_burst_max, now);
        // Copied, because it is mostly nothing, in a buffer of hyper's as large as
        // `gateway.header_bytes_max`.
        let read = std::mem::take(&mut socket.read).to_vec();
        let context = WebSocketContext::from_partially_read(read, Role::Server, Some(limits));
        Self { socket, outlet, context, replies: Vec::new(), view: View::default(), bucket, heard_at: now }
    }

    async fn run(&mut self) -> Ending {
        let mut pings = self.pings();
        // What came together with the request.
        if let Err(ending) = self.read().await {
            return ending;
        }
        loop {
            let result = tokio::select! {
                pending = self.outlet.slot.take() => self.write(pending).await,
                readable = self.socket.stream.readable() => match readable {
                    Ok(()) => self.read().await,
                    Err(_) => Err(Ending::Left),
                },
                _ = pings.tick() => self.ping().await,
            };
            if let Err(ending) = result {
                return ending;
            }
        }
    }

    fn pings(&self) -> Interval {
        let every = self.socket.shared.config.ping_interval;
        let mut pings = interval_at(tokio::time::Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings
    }

    async fn write(&mut self, pending: Pending) -> Result<(), Ending> {
        let Pending { replies, opened, closed, news, held, end } = pending;
        for reply in replies {
            self.socket.write(reply.as_bytes()).await?;
        }
        if let Some(end) = end {
            return Err(Ending::Closed(end));
        }
        self.view.update(opened, &closed, held, news);
        if let Some(transition) = self.view.transition(self.socket.shared.config.transition_bytes_max) {
            self.socket.write(transition.as_bytes()).await?;
            self.socket.shared.signals.transitions.increment(1);
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Ending> {
        if self.heard_at.elapsed() >= self.socket.shared.config.ping_interval * 2 {
            tracing::debug!("a client is silent and does not answer pings");
            return Err(Ending::Left);
        }
        Ok(self.socket.write(&PING_FRAME).await?)
    }

    /// Reads what is there, up to a fair share.
    async fn read(&mut self) -> Result<(), Ending> {
        for _ in 0..READS_AT_ONCE_MAX {
            let came =
                self.context.read(&mut Wire { stream: &self.socket.stream, replies: &mut self.replies });
            let open = match came {
                Ok(message) => self.received(message).map(|()| true),
                Err(WireError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(ending_of(error)),
            };
            if !self.replies.is_empty() {
                let replies = std::mem::take(&mut self.replies);
                self.socket.write(&replies).await?;
            }
            if !open? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn received(&mut self, message: Message) -> Result<(), Ending> {
        let now = Instant::now();
        self.heard_at = now;
        let config = &self.socket.shared.config;
        let wrong = |code, fault| Err(Ending::Closed(End { code, fault: Some(fault) }));
        if !self.bucket.take(config.frames_per_second_max, config.frames_burst_max, now) {
            let fault = Fault::new(
                Code::Overloaded,
                format!("at most {} frames a second are read", config.frames_per_second_max),
            );
            return wrong(CloseCode::RuleBroken, fault);
        }
        match message {
            Message::Text(text) => {
                self.socket.shared.signals.frames.increment(1);
                let frame = match frame::parse(&text) {
                    Ok(frame) => frame,
                    Err(fault) => return wrong(CloseCode::NotAFrame, fault),
                };
                self.outlet.tell(SessionMessage::Received(Box::new(frame)));
                Ok(())
            }
            Message::Binary(_) | Message::Frame(_) => {
                wrong(CloseCode::NotAFrame, not_a_frame("frames are texts"))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        }
    }

    /// Says why, closes, and reads on for a moment: a close under unread bytes would overtake the words.
    async fn close(&mut self, end: End) {
        let End { code, fault } = end;
        self.socket.shared.signals.closed(code);
        // A client that reads again finds the words behind what it has not read yet.
        if let Err(error) = socket2::SockRef::from(&self.socket.stream).set_tcp_notsent_lowat(u32::MAX) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT was refused");
        }
        let mut words = Vec::new();
        if let Some(fault) = &fault {
            let trace_id = TraceContext::new_root().trace_id_hex();
            words.extend_from_slice(ServerFrame::Fault { error: fault.wire(&trace_id) }.text().as_bytes());
        }
        words.extend_from_slice(&code.frame());
        let farewell = async {
            if !self.socket.mid_frame && self.socket.write(&words).await.is_ok() {
                self.linger().await;
            }
        };
        if timeout(LINGER, farewell).await.is_err() {
            tracing::debug!("the client did not close its side");
        }
    }

    async fn linger(&mut self) {
        let kernel = socket2::SockRef::from(&self.socket.stream);
        if kernel.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        // On the heap: in the task's own state it would lie there for the whole session.
        let (mut scratch, mut left) = (vec![0; 4 * 1024], LINGER_BYTES_MAX);
        while left > 0 && self.socket.stream.readable().await.is_ok() {
            match self.socket.stream.try_read(&mut scratch) {
                Ok(0) => return,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

fn ending_of(error: WireError) -> Ending {
    let (code, fault) = match error {
        WireError::Capacity(_) => (
            CloseCode::FrameTooLarge,
            Fault::new(Code::PayloadTooLarge, "the frame is larger than `sessions.frame_bytes_max`"),
        ),
        WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Ending::Left,
        WireError::Protocol(broken) => (CloseCode::NotAFrame, not_a_frame(broken.to_string())),
        WireError::Utf8(_) => (CloseCode::NotAFrame, not_a_frame("a text is UTF-8")),
        // The client closed in order, or the connection broke.
        _ => return Ending::Left,
    };
    Ending::Closed(End { code, fault: Some(fault) })
}

/// The socket as tungstenite sees it.
struct Wire<'a> {
    stream: &'a TcpStream,
    replies: &'a mut Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
