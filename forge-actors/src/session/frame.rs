//! Frames from the client: from text to what it asks for.
//!
//! The type is read first, then the fields of that type and no others. Arguments are not looked into: they go
//! to the function room as the bytes they came in.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::limits::{FRAME_DEPTH_MAX, PROTO, REASON_CHARS_MAX};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::idempotency_key::{IdempotencyKey, InvalidIdempotencyKey};
use crate::kernel::trace::TraceContext;
use crate::reactor::Version;

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) enum ClientFrame {
    Hello { contract: Option<String>, token: Option<String> },
    Subscribe { id: u32, name: Arc<str>, args: Bytes, version: Option<Version> },
    Unsubscribe { id: u32 },
    Mutate(Mutation),
    Authenticate { token: Option<String> },
    Ping { id: u32 },
}

/// A mutation to run.
#[derive(Debug, PartialEq)]
pub(super) struct Mutation {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) args: Bytes,
    pub(super) idempotency_key: Option<IdempotencyKey>,
    pub(super) trace: TraceContext,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    proto: u32,
    contract: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sub<'a> {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    id: u32,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mut<'a> {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    id: u32,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    idem: Option<Cow<'a, str>>,
    #[serde(borrow)]
    trace: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    /// Null signs out; left out it is a mistake.
    #[serde(deserialize_with = "nullable")]
    token: Option<String>,
}

/// `unsub` and `ping`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbered {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    id: u32,
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads one frame; the fault says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<ClientFrame, Fault> {
    // A struct may be read from an array as well, and nobody means that.
    if !text.trim_start().starts_with('{') {
        return Err(not_a_frame("it is not a JSON object"));
    }
    if is_too_deep(text) {
        return Err(not_a_frame(format!("it nests deeper than {FRAME_DEPTH_MAX} levels")));
    }
    let tag: Tag<'_> = read(text)?;
    match &*tag.kind {
        "hello" => hello(read(text)?),
        "sub" => subscribe(read(text)?),
        "unsub" => read(text).map(|Numbered { id, .. }| ClientFrame::Unsubscribe { id }),
        "mut" => mutate(read(text)?),
        "auth" => read(text).map(|Auth { token, .. }| ClientFrame::Authenticate { token }),
        "ping" => read(text).map(|Numbered { id, .. }| ClientFrame::Ping { id }),
        unknown => Err(not_a_frame(format!("there is no type `{unknown}`"))),
    }
}

/// The fault of a frame that is none.
pub(super) fn not_a_frame(reason: impl AsRef<str>) -> Fault {
    let shown: String = reason.as_ref().chars().take(REASON_CHARS_MAX).collect();
    Fault::new(Code::BadRequest, format!("this is no frame: {shown}"))
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| not_a_frame(error.to_string()))
}

fn hello(Hello { proto, contract, token, .. }: Hello) -> Result<ClientFrame, Fault> {
    if proto != PROTO {
        return Err(not_a_frame(format!("`proto` is {proto}; this server speaks {PROTO}")));
    }
    Ok(ClientFrame::Hello { contract, token })
}

fn subscribe(Sub { id, name, args, version, .. }: Sub<'_>) -> Result<ClientFrame, Fault> {
    let version = version.map(|text| {
        self::version(&text).ok_or_else(|| not_a_frame("`version` is not one that this server gave"))
    });
    Ok(ClientFrame::Subscribe { id, name: name.into(), args: arguments(args), version: version.transpose()? })
}

fn mutate(Mut { id, name, args, idem, trace, .. }: Mut<'_>) -> Result<ClientFrame, Fault> {
    let idempotency_key = idem.map(|key| {
        key.parse().map_err(|error: InvalidIdempotencyKey| not_a_frame(format!("`idem`: {error}")))
    });
    let trace = trace
        .and_then(|text| TraceContext::parse(&text))
        .map_or_else(TraceContext::new_root, TraceContext::child);
    Ok(ClientFrame::Mutate(Mutation {
        id,
        name: name.into(),
        args: arguments(args),
        idempotency_key: idempotency_key.transpose()?,
        trace,
    }))
}

/// Copied, so that a few bytes do not keep the whole read buffer.
fn arguments(args: Option<&RawValue>) -> Bytes {
    args.map_or(Bytes::from_static(b"{}"), |args| Bytes::copy_from_slice(args.get().as_bytes()))
}

fn version(text: &str) -> Option<Version> {
    let clean = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    clean.then(|| u64::from_str_radix(text, 16).ok().map(Version)).flatten()
}

/// Counts brackets outside of strings; whether they match is the parser's business.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > FRAME_DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
