//! What crosses from node to node: every message, its number, and the one codec.
//!
//! ```text
//!   frame   = format (1) · link (16) · sequence (8) · acknowledged (8) · part*            all numbers big-endian
//!   part    = kind (2) · length (4) · body (length)
//!   body    = bincode of the message's head, then, for calls and answers, the JSON bytes as they are
//! ```
//!
//! Rules for change: a number is never given to another meaning, and a body that was released is never
//! altered; what is new gets a number of its own. A kind that a node does not know is skipped
//! ([`Part::Unknown`]), so an older and a newer node live together. A known kind whose body cannot be read
//! ends the link: its sender is broken.
//!
//! Limits: a part is at most [`PART_BYTES_MAX`] long, and nothing is allocated for a length before the bytes
//! are there.

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

/// The protocol that this build speaks; said when two nodes greet each other.
pub const PROTOCOL: u16 = 1;
/// The oldest protocol that it still understands.
pub const PROTOCOL_MIN: u16 = 1;
/// Bytes of one message; a larger call is refused with `PAYLOAD_TOO_LARGE`, a larger answer becomes that
/// fault.
pub const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one frame; a peer that sends a larger one loses its link.
pub const FRAME_BYTES_MAX: usize = PART_BYTES_MAX + 128 * 1024;

const FORMAT: u8 = 1;
const FRAME_HEAD_BYTES: usize = 1 + 16 + 8 + 8;
const PART_HEAD_BYTES: usize = 2 + 4;

const HINT: u16 = 1;
const INTEREST: u16 = 2;
const RESYNC: u16 = 3;
const INVOKE: u16 = 4;
const ANSWER: u16 = 5;
const CANCEL: u16 = 6;
const PING: u16 = 7;
const PONG: u16 = 8;
const GOODBYE: u16 = 9;

/// Names one connection between two nodes; both made it in their greeting, and nobody else knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkKey(pub u128);

/// What a node speaks of or waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topics {
    /// Tables.
    pub tables: BTreeSet<TableId>,
    /// Queues.
    pub queues: BTreeSet<Arc<str>>,
}

/// What one node says to another.
#[derive(Debug)]
pub enum Message {
    /// Something was committed.
    Hint {
        /// The newest transaction that it speaks of.
        xid: Option<Xid>,
        /// Where.
        topics: Topics,
    },
    /// What the sender wants to hear of from now on.
    Interest(Topics),
    /// Hints were dropped: look at everything.
    Resync,
    /// Run this.
    Invoke(Box<Invoke>),
    /// What came of it.
    Answer(Answer),
    /// Nobody waits for this call any more.
    Cancel {
        /// The call's number.
        id: u64,
    },
    /// Are you there?
    Ping {
        /// Given back in the [`Pong`](Self::Pong).
        at: u64,
    },
    /// Yes.
    Pong {
        /// From the [`Ping`](Self::Ping).
        at: u64,
    },
    /// The sender stops; it is not lost.
    Goodbye,
}

/// A call for another node.
#[derive(Debug)]
pub struct Invoke {
    /// Numbers the call on its link.
    pub id: u64,
    /// What the caller still waits.
    pub remaining: Duration,
    /// The call itself; its own deadline is not sent, clocks differ.
    pub invocation: Invocation,
}

/// The end of a call.
#[derive(Debug)]
pub struct Answer {
    /// The call's number.
    pub id: u64,
    /// The JSON output, or what went wrong.
    pub outcome: Result<Bytes, Fault>,
}

#[derive(Serialize, Deserialize)]
struct InvokeHead {
    id: u64,
    remaining_ms: u64,
    request: RequestId,
    name: String,
    /// JSON: claims are of any shape, which bincode cannot read back.
    identity: Option<String>,
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    trace_id: u128,
    span_id: u64,
    sampled: bool,
    idempotency_key: Option<IdempotencyKey>,
}

#[derive(Serialize, Deserialize)]
struct AnswerHead {
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

/// Why bytes are no frame, or a message cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It ends too early.
    #[error("the frame is cut off")]
    Truncated,
    /// Another format of frames.
    #[error("the frame is of format {0}, and this node reads format {FORMAT}")]
    Format(u8),
    /// A part over the limit.
    #[error("a message of {0} bytes is larger than {PART_BYTES_MAX}")]
    TooLarge(usize),
    /// A body that is not what its kind says.
    #[error("a message of kind {0} cannot be read")]
    Malformed(u16),
}

/// What a frame says before its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The link that it belongs to.
    pub link: LinkKey,
    /// Its number; 0 for a frame that only acknowledges.
    pub sequence: u64,
    /// The newest frame that its sender has handled.
    pub acknowledged: u64,
}

/// One entry of a frame.
#[derive(Debug)]
pub enum Part {
    /// A message.
    Message(Message),
    /// A kind that this node does not know.
    Unknown(u16),
}

/// A frame around parts that [`encode`] made.
pub fn frame(head: FrameHead, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + parts.iter().map(Vec::len).sum::<usize>());
    frame.push(FORMAT);
    frame.extend_from_slice(&head.link.0.to_be_bytes());
    frame.extend_from_slice(&head.sequence.to_be_bytes());
    frame.extend_from_slice(&head.acknowledged.to_be_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

/// Reads a frame's head; the parts follow.
pub fn open(frame: &[u8]) -> Result<(FrameHead, Parts<'_>), EnvelopeError> {
    let (format, rest) = frame.split_first().ok_or(EnvelopeError::Truncated)?;
    if *format != FORMAT {
        return Err(EnvelopeError::Format(*format));
    }
    let (link, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
    let (sequence, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
    let (acknowledged, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
    let head = FrameHead {
        link: LinkKey(u128::from_be_bytes(*link)),
        sequence: u64::from_be_bytes(*sequence),
        acknowledged: u64::from_be_bytes(*acknowledged),
    };
    Ok((head, Parts { rest }))
}

/// The parts of a frame, in order; the first error ends them.
#[derive(Debug)]
pub struct Parts<'a> {
    rest: &'a [u8],
}

impl Iterator for Parts<'_> {
    type Item = Result<Part, EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let part = self.read();
        if part.is_err() {
            self.rest = &[];
        }
        Some(part)
    }
}

impl Parts<'_> {
    fn read(&mut self) -> Result<Part, EnvelopeError> {
        let (kind, rest) = self.rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        let (length, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        let (kind, length) = (u16::from_be_bytes(*kind), u32::from_be_bytes(*length) as usize);
        if length > PART_BYTES_MAX {
            return Err(EnvelopeError::TooLarge(length));
        }
        let (body, rest) = rest.split_at_checked(length).ok_or(EnvelopeError::Truncated)?;
        self.rest = rest;
        decode(kind, body)
    }
}

/// A message as a part of a frame.
pub fn encode(message: &Message) -> Result<Vec<u8>, EnvelopeError> {
    let (kind, body) = match message {
        Message::Hint { xid, topics } => (HINT, body(&(xid, topics), &[])),
        Message::Interest(topics) => (INTEREST, body(topics, &[])),
        Message::Resync => (RESYNC, Vec::new()),
        Message::Invoke(invoke) => (INVOKE, body(&InvokeHead::of(invoke), &invoke.invocation.args)),
        Message::Answer(Answer { id, outcome }) => match outcome {
            Ok(output) => (ANSWER, body(&AnswerHead { id: *id, fault: None }, output)),
            Err(fault) => (ANSWER, body(&AnswerHead { id: *id, fault: Some(FaultBody::of(fault)) }, &[])),
        },
        Message::Cancel { id } => (CANCEL, body(id, &[])),
        Message::Ping { at } => (PING, body(at, &[])),
        Message::Pong { at } => (PONG, body(at, &[])),
        Message::Goodbye => (GOODBYE, Vec::new()),
    };
    if body.len() > PART_BYTES_MAX {
        return Err(EnvelopeError::TooLarge(body.len()));
    }
    let length = u32::try_from(body.len()).map_err(|_| EnvelopeError::TooLarge(body.len()))?;
    let mut part = Vec::with_capacity(PART_HEAD_BYTES + body.len());
    part.extend_from_slice(&kind.to_be_bytes());
    part.extend_from_slice(&length.to_be_bytes());
    part.extend_from_slice(&body);
    Ok(part)
}

/// The head in bincode, then bytes as they are.
fn body(head: &impl Serialize, tail: &[u8]) -> Vec<u8> {
    let mut body = bincode::serde::encode_to_vec(head, bincode::config::standard())
        .expect("heads are plain structs, which bincode writes");
    body.extend_from_slice(tail);
    body
}

fn decode(kind: u16, bytes: &[u8]) -> Result<Part, EnvelopeError> {
    let message = match kind {
        HINT => whole::<(Option<Xid>, Topics)>(bytes).map(|(xid, topics)| Message::Hint { xid, topics }),
        INTEREST => whole(bytes).map(Message::Interest),
        RESYNC => empty(bytes, Message::Resync),
        INVOKE => head::<InvokeHead>(bytes)
            .and_then(|(head, args)| head.invoke(args))
            .map(|invoke| Message::Invoke(Box::new(invoke))),
        ANSWER => {
            head::<AnswerHead>(bytes).and_then(|(head, output)| head.answer(output)).map(Message::Answer)
        }
        CANCEL => whole(bytes).map(|id| Message::Cancel { id }),
        PING => whole(bytes).map(|at| Message::Ping { at }),
        PONG => whole(bytes).map(|at| Message::Pong { at }),
        GOODBYE => empty(bytes, Message::Goodbye),
        unknown => return Ok(Part::Unknown(unknown)),
    };
    message.map(Part::Message).ok_or(EnvelopeError::Malformed(kind))
}

/// A head and the bytes behind it. The limit is what bincode may claim for all containers together.
fn head<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let config = bincode::config::standard().with_limit::<PART_BYTES_MAX>();
    let (value, read) = bincode::serde::decode_from_slice(bytes, config).ok()?;
    Some((value, bytes.get(read..)?))
}

fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    head(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

fn empty(bytes: &[u8], message: Message) -> Option<Message> {
    bytes.is_empty().then_some(message)
}

impl InvokeHead {
    fn of(Invoke { id, remaining, invocation }: &Invoke) -> Self {
        let Caller { identity, ip, user_agent } = &invocation.caller;
        Self {
            id: *id,
            remaining_ms: to_millis(*remaining),
            request: invocation.id,
            name: invocation.name.to_string(),
            identity: identity
                .as_deref()
                .map(|identity| serde_json::to_string(identity).expect("an identity came from JSON")),
            ip: *ip,
            user_agent: user_agent.to_owned(),
            trace_id: invocation.trace.trace_id,
            span_id: invocation.trace.span_id,
            sampled: invocation.trace.sampled,
            idempotency_key: invocation.idempotency_key.to_owned(),
        }
    }

    /// `None` when the identity is no identity: a call must never run as somebody else than its caller, nor
    /// as nobody.
    fn invoke(self, args: &[u8]) -> Option<Invoke> {
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
        Some(Invoke { id: self.id, remaining: Duration::from_millis(self.remaining_ms), invocation })
    }
}

impl AnswerHead {
    fn answer(self, output: &[u8]) -> Option<Answer> {
        let outcome = match self.fault {
            None => Ok(Bytes::copy_from_slice(output)),
            Some(fault) => Err(fault.fault()?),
        };
        Some(Answer { id: self.id, outcome })
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
