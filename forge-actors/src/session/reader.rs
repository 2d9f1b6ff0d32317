//! A client's messages out of the bytes of its socket, in turns of a limited size.
//!
//! tungstenite parses and checks the bytes, and would read on for as long as a client sends fragments. So a
//! turn ends after [`FRAMES_AT_ONCE_MAX`] messages or [`BYTES_AT_ONCE_MAX`] bytes, and the socket's task
//! yields before the next one begins. An empty socket does not end a turn: a client can fill its socket again
//! just when it was found empty, so that the task would go on without having yielded.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tungstenite::error::{Error as TungsteniteError, ProtocolError};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use super::arrival::{ArrivalLimit, FrameArrival};
use super::frame::invalid_frame;
use super::limits::{BYTES_AT_ONCE_MAX, FRAMES_AT_ONCE_MAX, READ_BUFFER_BYTES};
use super::wire::{CloseCode, CloseReason};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::format_duration;

/// Why nothing more is read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The client closed the connection, or it broke.
    Disconnected,
    /// The client broke a rule.
    Refused(CloseReason),
}

/// The limits of one frame of the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameLimits {
    /// `sessions.frame_bytes_max`.
    pub(super) bytes_max: usize,
    /// `sessions.frame_timeout`.
    pub(super) timeout: Duration,
}

/// Reads the messages of one client.
pub(super) struct MessageReader {
    context: WebSocketContext,
    limits: FrameLimits,
    arrival: FrameArrival,
    /// What tungstenite wants to write.
    answers: Vec<u8>,
    /// What may still be read in this turn.
    messages_left: usize,
    bytes_left: usize,
    /// The last read found the socket empty.
    drained: bool,
}

impl MessageReader {
    /// `early_bytes` came together with the request.
    pub(super) fn new(early_bytes: Vec<u8>, limits: FrameLimits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(limits.bytes_max))
            .max_frame_size(Some(limits.bytes_max));
        Self {
            context: WebSocketContext::from_partially_read(early_bytes, Role::Server, Some(config)),
            limits,
            arrival: FrameArrival::default(),
            answers: Vec::new(),
            messages_left: FRAMES_AT_ONCE_MAX,
            bytes_left: BYTES_AT_ONCE_MAX,
            drained: false,
        }
    }

    /// The next message, from bytes that `read` takes from the socket without waiting. `None` when the socket
    /// is empty or the turn is over; then [`pause`](Self::pause) comes next.
    pub(super) fn next(
        &mut self,
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        now: Instant,
    ) -> Result<Option<Message>, ReadError> {
        self.drained = false;
        if self.is_turn_over() {
            return Ok(None);
        }
        let bytes_before = self.bytes_left;
        let mut stream = TungsteniteStream {
            read,
            answers: &mut self.answers,
            bytes_left: &mut self.bytes_left,
            drained: &mut self.drained,
        };
        let result = self.context.read(&mut stream);
        self.arrival.read(bytes_before - self.bytes_left, now);
        match result {
            Ok(message) => {
                self.messages_left -= 1;
                match &message {
                    Message::Ping(payload) | Message::Pong(payload) => {
                        self.arrival.control_frame(payload.len());
                    }
                    _ => self.arrival.completed(),
                }
                Ok(Some(message))
            }
            Err(TungsteniteError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error_of(error)),
        }
    }

    /// To be awaited whenever [`next`](Self::next) has found nothing: checks the limits of the frame that is
    /// arriving, and yields when the turn is over.
    pub(super) async fn pause(&mut self) -> Result<(), ReadError> {
        self.check_arrival(Instant::now())?;
        if self.is_turn_over() {
            tokio::task::yield_now().await;
            self.messages_left = FRAMES_AT_ONCE_MAX;
            self.bytes_left = BYTES_AT_ONCE_MAX;
        }
        Ok(())
    }

    /// Fails when the frame that is arriving has reached a limit.
    pub(super) fn check_arrival(&self, now: Instant) -> Result<(), ReadError> {
        let FrameLimits { bytes_max, timeout } = self.limits;
        let reason = match self.arrival.limit(bytes_max, timeout, now) {
            None => return Ok(()),
            Some(ArrivalLimit::Bytes) => frame_too_large(),
            Some(ArrivalLimit::Time) => {
                let message = format!("a frame did not arrive whole within {}", format_duration(timeout));
                CloseCode::PolicyViolation.because(Fault::new(Code::BadRequest, message))
            }
        };
        Err(ReadError::Refused(reason))
    }

    /// True unless the last read found the socket empty: bytes may wait in the socket, or have been read from
    /// it and not been parsed.
    pub(super) fn may_have_more(&self) -> bool {
        !self.drained
    }

    /// The answers to pings and to a close, to be written before the next message is read.
    pub(super) fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn is_turn_over(&self) -> bool {
        self.messages_left == 0 || self.bytes_left == 0
    }
}

fn error_of(error: TungsteniteError) -> ReadError {
    let (code, fault) = match error {
        TungsteniteError::Capacity(_) => return ReadError::Refused(frame_too_large()),
        TungsteniteError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            return ReadError::Disconnected;
        }
        TungsteniteError::Protocol(broken) => (CloseCode::InvalidFrame, invalid_frame(broken.to_string())),
        TungsteniteError::Utf8(_) => (CloseCode::InvalidFrame, invalid_frame("a text is UTF-8")),
        // The client closed the connection in order, or it broke.
        _ => return ReadError::Disconnected,
    };
    ReadError::Refused(code.because(fault))
}

fn frame_too_large() -> CloseReason {
    let message = "the frame is larger than `sessions.frame_bytes_max`";
    CloseCode::FrameTooLarge.because(Fault::new(Code::PayloadTooLarge, message))
}

/// The socket as tungstenite sees it: reads come from the socket, writes are collected. A socket of which
/// enough was read in this turn seems to be empty.
struct TungsteniteStream<'a, R> {
    read: R,
    answers: &'a mut Vec<u8>,
    bytes_left: &'a mut usize,
    drained: &'a mut bool,
}

impl<R: FnMut(&mut [u8]) -> io::Result<usize>> Read for TungsteniteStream<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if *self.bytes_left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(*self.bytes_left);
        let result = (self.read)(&mut buffer[..length]);
        match &result {
            Ok(read) => *self.bytes_left -= read,
            Err(error) => *self.drained = error.kind() == io::ErrorKind::WouldBlock,
        }
        result
    }
}

impl<R> Write for TungsteniteStream<'_, R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
