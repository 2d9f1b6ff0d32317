//! The messages that nodes send to each other, their numbers, and the codec that writes and reads them.
//!
//! ```text
//!   frame  = format (1) · link (16) · sequence (8) · acknowledged (8) · part*    all numbers are big-endian
//!   part   = kind (2) · length (4) · body (length)
//!   body   = bincode of the message's header, then, for requests and responses, their JSON bytes unchanged
//! ```
//!
//! Rules for changes: a kind number never gets a second meaning, and the body of a released kind never
//! changes; a new message gets a number of its own. A node skips a part whose kind it does not know
//! ([`FramePart::Unknown`]), so an older and a newer node work together. A known kind whose body cannot be
//! decoded ends the link, because its sender is faulty.
//!
//! Limits: a part is at most [`PART_BYTES_MAX`] long, and the reader allocates memory only for bytes that
//! have arrived.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::commit::{TableId, Xid};
use super::fault::{AppCode, Code, Fault};
use super::idempotency_key::IdempotencyKey;
use super::ids::RequestId;
use super::invocation::{Caller, Invocation};
use super::trace::TraceContext;

/// The newest mesh protocol that this build speaks, as stated in the handshake of two nodes.
pub const PROTOCOL: u16 = 1;
/// The oldest mesh protocol that this build still speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// Bytes of one part. A larger request is refused with `PAYLOAD_TOO_LARGE`, and a larger response is replaced
/// by that fault.
pub const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one frame. A peer that sends a larger frame loses its link.
pub const FRAME_BYTES_MAX: usize = PART_BYTES_MAX + 128 * 1024;

const FORMAT: u8 = 1;
const FRAME_HEADER_BYTES: usize = 1 + 16 + 8 + 8;
const PART_HEADER_BYTES: usize = 2 + 4;

const HINT: u16 = 1;
const INTEREST: u16 = 2;
const RESYNC: u16 = 3;
const INVOKE_REQUEST: u16 = 4;
const INVOKE_RESPONSE: u16 = 5;
const CANCEL: u16 = 6;
const PING: u16 = 7;
const PONG: u16 = 8;
const GOODBYE: u16 = 9;

/// Names one connection between two nodes. Both derive the key from their handshake, and no third party can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkKey(pub u128);

/// The tables and queues that a hint names, or that a node wants hints about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topics {
    /// Tables by their OID.
    pub tables: BTreeSet<TableId>,
    /// Job queues by their name.
    pub queues: BTreeSet<Arc<str>>,
}

/// A message from one node to another.
#[derive(Debug)]
pub enum MeshMessage {
    /// The sender committed a change.
    Hint {
        /// The newest transaction that the hint covers, if the sender knows it.
        xid: Option<Xid>,
        /// What the transactions wrote.
        topics: Topics,
    },
    /// The topics that the sender wants hints about. Replaces the sender's earlier interest.
    Interest(Topics),
    /// The sender dropped hints: the receiver must check every table and queue that it waits for.
    Resync,
    /// Runs a handler on the receiver.
    InvokeRequest(Box<InvokeRequest>),
    /// The result of an [`InvokeRequest`](Self::InvokeRequest).
    InvokeResponse(InvokeResponse),
    /// The sender no longer waits for this request; the receiver stops the handler.
    Cancel {
        /// The request's number.
        id: u64,
    },
    /// Asks the receiver for a [`Pong`](Self::Pong), which proves that both directions work.
    Ping {
        /// Microseconds of the sender's own clock; the pong carries them back.
        at: u64,
    },
    /// Answers a [`Ping`](Self::Ping).
    Pong {
        /// The value of the ping.
        at: u64,
    },
    /// The sender shuts down in order.
    Goodbye,
}

/// A call of a handler on another node.
#[derive(Debug)]
pub struct InvokeRequest {
    /// Numbers the request; unique among the requests of its sender.
    pub id: u64,
    /// How long the caller still waits. An absolute deadline is not sent, because the clocks of two nodes
    /// differ.
    pub remaining: Duration,
    /// The call. Its `deadline` is not part of the message.
    pub invocation: Invocation,
}

/// The end of a call on another node.
#[derive(Debug)]
pub struct InvokeResponse {
    /// The number of the request.
    pub id: u64,
    /// The handler's JSON output, or its fault.
    pub result: Result<Bytes, Fault>,
}

#[derive(Serialize, Deserialize)]
struct InvokeHeader {
    id: u64,
    remaining_ms: u64,
    request: RequestId,
    name: String,
    /// JSON, because claims have any shape and bincode cannot read self-describing values back.
    identity: Option<String>,
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    trace_id: u128,
    span_id: u64,
    sampled: bool,
    idempotency_key: Option<IdempotencyKey>,
}

#[derive(Serialize, Deserialize)]
struct ResponseHeader {
    id: u64,
    fault: Option<FaultBody>,
}

#[derive(Serialize, Deserialize)]
struct FaultBody {
    code: String,
    status: u16,
    message: String,
    /// JSON.
    details: Option<String>,
    retry_after_ms: Option<u64>,
}

/// Why bytes cannot be decoded as a frame, or a message cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The frame ends before its announced length.
    #[error("the frame is truncated")]
    Truncated,
    /// The frame has another format than [`encode_frame`] writes.
    #[error("the frame has format {0}, and this node reads format {FORMAT}")]
    Format(u8),
    /// A part is longer than [`PART_BYTES_MAX`].
    #[error("a message of {0} bytes is larger than {PART_BYTES_MAX}")]
    TooLarge(usize),
    /// The body of a part does not match its kind.
    #[error("a message of kind {0} cannot be decoded")]
    Malformed(u16),
}

/// The fields in front of a frame's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The link that the frame belongs to.
    pub link: LinkKey,
    /// Numbers the frames of one direction from 1; 0 for a frame that only acknowledges.
    pub sequence: u64,
    /// The newest frame of the other direction that the sender has handled.
    pub acknowledged: u64,
}

/// One entry of a frame.
#[derive(Debug)]
pub enum FramePart {
    /// A message that this node knows.
    Message(MeshMessage),
    /// The number of a kind that this node does not know.
    Unknown(u16),
}

/// Encodes a frame from parts that [`encode_part`] made.
pub fn encode_frame(header: FrameHeader, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + parts.iter().map(Vec::len).sum::<usize>());
    frame.push(FORMAT);
    frame.extend_from_slice(&header.link.0.to_be_bytes());
    frame.extend_from_slice(&header.sequence.to_be_bytes());
    frame.extend_from_slice(&header.acknowledged.to_be_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

/// Decodes a frame's header. The parts are decoded one by one, as the iterator advances.
///
/// # Errors
/// `Truncated` when the header is incomplete, `Format` when the frame has another format.
pub fn decode_frame(frame: &[u8]) -> Result<(FrameHeader, FrameParts<'_>), EnvelopeError> {
    let (format, rest) = frame.split_first().ok_or(EnvelopeError::Truncated)?;
    if *format != FORMAT {
        return Err(EnvelopeError::Format(*format));
    }
    let (link, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
    let (sequence, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
    let (acknowledged, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
    let header = FrameHeader {
        link: LinkKey(u128::from_be_bytes(*link)),
        sequence: u64::from_be_bytes(*sequence),
        acknowledged: u64::from_be_bytes(*acknowledged),
    };
    Ok((header, FrameParts { rest }))
}

/// Decodes the parts of a frame in order. The iterator ends after its first error.
#[derive(Debug)]
pub struct FrameParts<'a> {
    rest: &'a [u8],
}

impl Iterator for FrameParts<'_> {
    type Item = Result<FramePart, EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let part = self.decode_next();
        if part.is_err() {
            self.rest = &[];
        }
        Some(part)
    }
}

impl FrameParts<'_> {
    fn decode_next(&mut self) -> Result<FramePart, EnvelopeError> {
        let (kind, rest) = self.rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        let (length, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        let (kind, length) = (u16::from_be_bytes(*kind), u32::from_be_bytes(*length) as usize);
        if length > PART_BYTES_MAX {
            return Err(EnvelopeError::TooLarge(length));
        }
        let (body, rest) = rest.split_at_checked(length).ok_or(EnvelopeError::Truncated)?;
        self.rest = rest;
        decode_part(kind, body)
    }
}

/// Encodes a message as a part of a frame.
///
/// # Errors
/// `TooLarge` when the body is longer than [`PART_BYTES_MAX`].
pub fn encode_part(message: &MeshMessage) -> Result<Vec<u8>, EnvelopeError> {
    let (kind, body) = match message {
        MeshMessage::Hint { xid, topics } => (HINT, encode_body(&(xid, topics), &[])),
        MeshMessage::Interest(topics) => (INTEREST, encode_body(topics, &[])),
        MeshMessage::Resync => (RESYNC, Vec::new()),
        MeshMessage::InvokeRequest(request) => {
            (INVOKE_REQUEST, encode_body(&InvokeHeader::of(request), &request.invocation.args))
        }
        MeshMessage::InvokeResponse(response) => (INVOKE_RESPONSE, encode_response(response)),
        MeshMessage::Cancel { id } => (CANCEL, encode_body(id, &[])),
        MeshMessage::Ping { at } => (PING, encode_body(at, &[])),
        MeshMessage::Pong { at } => (PONG, encode_body(at, &[])),
        MeshMessage::Goodbye => (GOODBYE, Vec::new()),
    };
    if body.len() > PART_BYTES_MAX {
        return Err(EnvelopeError::TooLarge(body.len()));
    }
    let length = u32::try_from(body.len()).map_err(|_| EnvelopeError::TooLarge(body.len()))?;
    let mut part = Vec::with_capacity(PART_HEADER_BYTES + body.len());
    part.extend_from_slice(&kind.to_be_bytes());
    part.extend_from_slice(&length.to_be_bytes());
    part.extend_from_slice(&body);
    Ok(part)
}

fn encode_response(InvokeResponse { id, result }: &InvokeResponse) -> Vec<u8> {
    match result {
        Ok(output) => encode_body(&ResponseHeader { id: *id, fault: None }, output),
        Err(fault) => encode_body(&ResponseHeader { id: *id, fault: Some(FaultBody::of(fault)) }, &[]),
    }
}

/// Writes the header in bincode, and the tail unchanged behind it.
fn encode_body(header: &impl Serialize, tail: &[u8]) -> Vec<u8> {
    let mut body = bincode::serde::encode_to_vec(header, bincode::config::standard())
        .expect("headers are plain structs, which bincode encodes");
    body.extend_from_slice(tail);
    body
}

fn decode_part(kind: u16, body: &[u8]) -> Result<FramePart, EnvelopeError> {
    let message = match kind {
        HINT => {
            decode_whole::<(Option<Xid>, Topics)>(body).map(|(xid, topics)| MeshMessage::Hint { xid, topics })
        }
        INTEREST => decode_whole(body).map(MeshMessage::Interest),
        RESYNC => without_body(body, MeshMessage::Resync),
        INVOKE_REQUEST => decode_header::<InvokeHeader>(body)
            .and_then(|(header, args)| header.into_request(args))
            .map(|request| MeshMessage::InvokeRequest(Box::new(request))),
        INVOKE_RESPONSE => decode_header::<ResponseHeader>(body)
            .and_then(|(header, output)| header.into_response(output))
            .map(MeshMessage::InvokeResponse),
        CANCEL => decode_whole(body).map(|id| MeshMessage::Cancel { id }),
        PING => decode_whole(body).map(|at| MeshMessage::Ping { at }),
        PONG => decode_whole(body).map(|at| MeshMessage::Pong { at }),
        GOODBYE => without_body(body, MeshMessage::Goodbye),
        unknown => return Ok(FramePart::Unknown(unknown)),
    };
    message.map(FramePart::Message).ok_or(EnvelopeError::Malformed(kind))
}

/// Decodes a header and returns the bytes behind it. The limit bounds what bincode allocates for all
/// containers of the header together.
fn decode_header<T: DeserializeOwned>(body: &[u8]) -> Option<(T, &[u8])> {
    let config = bincode::config::standard().with_limit::<PART_BYTES_MAX>();
    let (value, read) = bincode::serde::decode_from_slice(body, config).ok()?;
    Some((value, body.get(read..)?))
}

fn decode_whole<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    decode_header(body).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

fn without_body(body: &[u8], message: MeshMessage) -> Option<MeshMessage> {
    body.is_empty().then_some(message)
}

impl InvokeHeader {
    fn of(InvokeRequest { id, remaining, invocation }: &InvokeRequest) -> Self {
        let Caller { identity, ip, user_agent } = &invocation.caller;
        Self {
            id: *id,
            remaining_ms: to_millis(*remaining),
            request: invocation.id,
            name: invocation.name.to_string(),
            identity: identity
                .as_deref()
                .map(|identity| serde_json::to_string(identity).expect("an identity was decoded from JSON")),
            ip: *ip,
            user_agent: user_agent.to_owned(),
            trace_id: invocation.trace.trace_id,
            span_id: invocation.trace.span_id,
            sampled: invocation.trace.sampled,
            idempotency_key: invocation.idempotency_key.to_owned(),
        }
    }

    /// `None` when the identity cannot be decoded: a call must run as its caller, or not at all.
    fn into_request(self, args: &[u8]) -> Option<InvokeRequest> {
        let identity = match self.identity {
            Some(json) => Some(Arc::new(serde_json::from_str(&json).ok()?)),
            None => None,
        };
        let invocation = Invocation {
            id: self.request,
            name: self.name.into(),
            args: Bytes::copy_from_slice(args),
            caller: Caller { identity, ip: self.ip, user_agent: self.user_agent },
            trace: TraceContext { trace_id: self.trace_id, span_id: self.span_id, sampled: self.sampled },
            deadline: None,
            idempotency_key: self.idempotency_key,
        };
        Some(InvokeRequest { id: self.id, remaining: Duration::from_millis(self.remaining_ms), invocation })
    }
}

impl ResponseHeader {
    fn into_response(self, output: &[u8]) -> Option<InvokeResponse> {
        let result = match self.fault {
            None => Ok(Bytes::copy_from_slice(output)),
            Some(fault) => Err(fault.fault()?),
        };
        Some(InvokeResponse { id: self.id, result })
    }
}

impl FaultBody {
    fn of(fault: &Fault) -> Self {
        Self {
            code: fault.code().name().to_owned(),
            status: fault.code().status(),
            message: fault.message().to_owned(),
            details: fault.details().map(serde_json::Value::to_string),
            retry_after_ms: fault.retry_delay().map(to_millis),
        }
    }

    fn fault(self) -> Option<Fault> {
        let own = Code::ALL.iter().copied().find(|code| code.name() == self.code);
        let code = own.or_else(|| AppCode::interned(&self.code, self.status).map(Code::App))?;
        let mut fault = Fault::new(code, self.message);
        if let Some(details) = self.details {
            fault = fault.with_details(serde_json::from_str(&details).ok()?);
        }
        Some(match self.retry_after_ms {
            Some(delay) => fault.retry_after(Duration::from_millis(delay)),
            None => fault,
        })
    }
}

fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
