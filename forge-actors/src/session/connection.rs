//! The task that owns a client's socket: it reads frames and writes what the send buffer holds, in turn.
//! While a write waits for the client, nothing is read.
//!
//! [`MessageReader`] parses frames. Its own answers (pongs, the echo of a close) are collected and written by
//! this task, so that two writers never interleave on one socket.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::{Interval, MissedTickBehavior, interval_at, sleep, timeout};
use tungstenite::protocol::Message;

use super::frame::{self, invalid_frame};
use super::limits::{LINGER, LINGER_BYTES_AT_ONCE, LINGER_PAUSE};
use super::messages::SessionMessage;
use super::reader::{FrameLimits, MessageReader, ReadError};
use super::render::{self, ServerFrame};
use super::send_buffer::{Outgoing, SendBuffer};
use super::socket::{SessionSocket, WriteError};
use super::wire::{CloseCode, CloseReason, PING_FRAME};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::token_bucket::TokenBucket;
use crate::kernel::trace::TraceContext;

/// How a connection ends.
enum ConnectionEnd {
    /// The client closed the connection, or it broke.
    Disconnected,
    /// The server closes the connection, and sends the client the reason.
    Closed(CloseReason),
}

impl From<WriteError> for ConnectionEnd {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Disconnected => Self::Disconnected,
            WriteError::TooSlow => Self::Closed(CloseReason { code: CloseCode::TryAgainLater, fault: None }),
        }
    }
}

impl From<ReadError> for ConnectionEnd {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Disconnected => Self::Disconnected,
            ReadError::Refused(reason) => Self::Closed(reason),
        }
    }
}

/// Serves a socket to its end. Returns the message by which the session's actor learns of the end.
pub(super) async fn serve(socket: SessionSocket, buffer: Arc<SendBuffer>) -> SessionMessage {
    let mut connection = Connection::new(socket, buffer);
    let end = connection.run().await;
    if let ConnectionEnd::Closed(reason) = end {
        let fault = reason.fault.as_ref().map(tracing::field::display);
        let code = reason.code.number();
        tracing::debug!(session = %connection.socket.id, code, fault, "closing a session");
        connection.close(reason).await;
    }
    connection.socket.set_closed();
    SessionMessage::Disconnected
}

struct Connection {
    socket: SessionSocket,
    buffer: Arc<SendBuffer>,
    reader: MessageReader,
    /// Limits the frames of the client.
    limiter: TokenBucket,
    received_at: Instant,
}

impl Connection {
    fn new(mut socket: SessionSocket, buffer: Arc<SendBuffer>) -> Self {
        let config = &socket.shared.deps.config;
        let limits = FrameLimits { bytes_max: config.frame_bytes_max, timeout: config.frame_timeout };
        let now = Instant::now();
        let limiter = TokenBucket::full(config.frames_burst_max, now);
        // Copied, because the few bytes are a slice of hyper's read buffer, which is as large as
        // `gateway.header_bytes_max`.
        let early_bytes = std::mem::take(&mut socket.early_bytes).to_vec();
        let reader = MessageReader::new(early_bytes, limits);
        Self { socket, buffer, reader, limiter, received_at: now }
    }

    async fn run(&mut self) -> ConnectionEnd {
        let mut pings = self.pings();
        // The first frames may have come together with the request.
        if let Err(end) = self.read().await {
            return end;
        }
        loop {
            let result = tokio::select! {
                outgoing = self.buffer.take() => self.write(outgoing).await,
                readable = self.readable() => match readable {
                    Ok(()) => self.read().await,
                    Err(_) => Err(ConnectionEnd::Disconnected),
                },
                _ = pings.tick() => self.ping().await,
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    fn pings(&self) -> Interval {
        let every = self.socket.shared.deps.config.ping_interval;
        let mut pings = interval_at(tokio::time::Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings
    }

    async fn write(&mut self, outgoing: Outgoing) -> Result<(), ConnectionEnd> {
        let Outgoing { replies, close, transition } = outgoing;
        for reply in replies {
            self.socket.write_frame(&reply).await?;
        }
        if let Some(reason) = close {
            return Err(ConnectionEnd::Closed(reason));
        }
        if let Some(transition) = transition {
            let bytes_max = self.socket.shared.deps.config.result_bytes_max;
            let frame = render::transition(transition, bytes_max);
            self.socket.write_frame(&frame).await?;
            self.socket.shared.signals.transitions.increment(1);
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), ConnectionEnd> {
        self.reader.check_arrival(Instant::now())?;
        // A client that takes what is written to it is there: while a large frame is written to a slow
        // client, nothing is read, so that its pongs wait.
        let seen_at = self.received_at.max(self.socket.progressed_at());
        if seen_at.elapsed() >= self.socket.shared.deps.config.ping_interval * 2 {
            tracing::debug!(session = %self.socket.id, "a client does not answer pings and is disconnected");
            return Err(ConnectionEnd::Disconnected);
        }
        Ok(self.socket.write(&PING_FRAME).await?)
    }

    /// Waits until there is something to read.
    async fn readable(&self) -> io::Result<()> {
        if self.reader.may_have_more() {
            return Ok(());
        }
        self.socket.stream.readable().await
    }

    /// Reads the frames that have arrived, as many as one turn allows.
    async fn read(&mut self) -> Result<(), ConnectionEnd> {
        loop {
            let now = Instant::now();
            let stream = &self.socket.stream;
            let result = match self.reader.next(|buffer| stream.try_read(buffer), now) {
                Ok(Some(message)) => self.received(message, now).map(|()| true),
                Ok(None) => Ok(false),
                Err(error) => Err(error.into()),
            };
            let answers = self.reader.take_answers();
            if !answers.is_empty() {
                self.socket.write(&answers).await?;
            }
            if !result? {
                return Ok(self.reader.pause().await?);
            }
        }
    }

    fn received(&mut self, message: Message, now: Instant) -> Result<(), ConnectionEnd> {
        self.received_at = now;
        let close = |code: CloseCode, fault| Err(ConnectionEnd::Closed(code.because(fault)));
        let config = &self.socket.shared.deps.config;
        if !self.limiter.take(config.frames_per_second_max, config.frames_burst_max, now) {
            let message = format!("at most {} frames a second are read", config.frames_per_second_max);
            return close(CloseCode::PolicyViolation, Fault::new(Code::Overloaded, message));
        }
        match message {
            Message::Text(text) => {
                self.socket.shared.signals.frames.increment(1);
                match frame::parse(&text) {
                    Ok(frame) => self.buffer.send_to_actor(SessionMessage::Received(Box::new(frame))),
                    Err(fault) => return close(CloseCode::InvalidFrame, fault),
                }
                Ok(())
            }
            Message::Binary(_) | Message::Frame(_) => {
                close(CloseCode::InvalidFrame, invalid_frame("frames are texts"))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        }
    }

    /// Writes the reason and the close frame, then reads on for [`LINGER`]: closing a socket with unread
    /// bytes resets the connection, and the client would lose what was written.
    async fn close(&mut self, reason: CloseReason) {
        let CloseReason { code, fault } = reason;
        self.socket.shared.signals.closed(code);
        // Without this, the reason would not be sent to a client that has stopped reading, and so would not
        // be there when it reads again.
        if let Err(error) = socket2::SockRef::from(&self.socket.stream).set_tcp_notsent_lowat(u32::MAX) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT was refused");
        }
        let mut last_frames = Vec::new();
        if let Some(fault) = &fault {
            let trace_id = TraceContext::new_root().trace_id_hex();
            let frame = ServerFrame::Fault { error: fault.wire(&trace_id) }.text();
            frame.slices().for_each(|slice| last_frames.extend_from_slice(slice));
        }
        last_frames.extend_from_slice(&code.frame());
        let closing = async {
            if self.socket.is_between_frames() && self.socket.write(&last_frames).await.is_ok() {
                self.linger().await;
            }
        };
        if timeout(LINGER, closing).await.is_err() {
            tracing::debug!("the client did not close its side of the connection in time");
        }
    }

    async fn linger(&mut self) {
        let kernel = socket2::SockRef::from(&self.socket.stream);
        if kernel.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        // On the heap: as part of the task's own state the buffer would cost memory in every open session.
        let mut scratch = vec![0; LINGER_BYTES_AT_ONCE];
        while self.socket.stream.readable().await.is_ok() {
            match self.socket.stream.try_read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => sleep(LINGER_PAUSE).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
