//! Frames from the client: from text to a [`ClientFrame`].
//!
//! The field `type` is read first, then the fields of that type; other fields are refused. The arguments of a
//! function are not parsed here: they go to the function subsystem as the bytes in which they came.

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

/// A frame from the client.
#[derive(Debug, PartialEq)]
pub(super) enum ClientFrame {
    Hello { contract: Option<String>, token: Option<String> },
    Subscribe(SubscribeRequest),
    Unsubscribe { id: u32 },
    Mutate(MutationRequest),
    Authenticate { token: Option<String> },
    Ping { id: u32 },
}

/// The frame `sub`.
#[derive(Debug, PartialEq)]
pub(super) struct SubscribeRequest {
    /// The client's number of the subscription.
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) args: Bytes,
    /// The version of the result that the client has.
    pub(super) version: Option<Version>,
}

/// The frame `mut`.
#[derive(Debug, PartialEq)]
pub(super) struct MutationRequest {
    /// The client's number of the mutation.
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) args: Bytes,
    /// An invalid key refuses this mutation only.
    pub(super) idempotency_key: Result<Option<IdempotencyKey>, InvalidIdempotencyKey>,
    pub(super) trace: TraceContext,
}

#[derive(Deserialize)]
struct TypeField<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HelloFields {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    proto: u32,
    contract: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubFields<'a> {
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
struct MutFields<'a> {
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
struct AuthFields {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    /// `null` signs out; a frame without the field is refused.
    #[serde(deserialize_with = "nullable")]
    token: Option<String>,
}

/// Fields of `unsub` and `ping`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdFields {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    id: u32,
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// Parses one frame.
///
/// # Errors
/// `BAD_REQUEST` with the reason, for the client.
pub(super) fn parse(text: &str) -> Result<ClientFrame, Fault> {
    // serde reads a struct from an array as well, which no client means to send.
    if !text.trim_start().starts_with('{') {
        return Err(invalid_frame("it is not a JSON object"));
    }
    if is_too_deep(text) {
        return Err(invalid_frame(format!("it nests deeper than {FRAME_DEPTH_MAX} levels")));
    }
    let TypeField { kind } = read(text)?;
    match &*kind {
        "hello" => hello(read(text)?),
        "sub" => subscribe(read(text)?),
        "unsub" => read(text).map(|IdFields { id, .. }| ClientFrame::Unsubscribe { id }),
        "mut" => mutate(read(text)?),
        "auth" => read(text).map(|AuthFields { token, .. }| ClientFrame::Authenticate { token }),
        "ping" => read(text).map(|IdFields { id, .. }| ClientFrame::Ping { id }),
        unknown => Err(invalid_frame(format!("there is no type `{unknown}`"))),
    }
}

/// The fault of a text that is not a frame. A long reason is cut, so that the answer does not grow with the
/// client's text.
pub(super) fn invalid_frame(reason: impl AsRef<str>) -> Fault {
    let shown: String = reason.as_ref().chars().take(REASON_CHARS_MAX).collect();
    Fault::new(Code::BadRequest, format!("invalid frame: {shown}"))
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| invalid_frame(error.to_string()))
}

fn hello(HelloFields { proto, contract, token, .. }: HelloFields) -> Result<ClientFrame, Fault> {
    if proto != PROTO {
        return Err(invalid_frame(format!("`proto` is {proto}; this server speaks {PROTO}")));
    }
    Ok(ClientFrame::Hello { contract, token })
}

fn subscribe(SubFields { id, name, args, version, .. }: SubFields<'_>) -> Result<ClientFrame, Fault> {
    let version = version.map(|text| {
        self::version(&text).ok_or_else(|| invalid_frame("`version` is not one that this server gave"))
    });
    let request =
        SubscribeRequest { id, name: name.into(), args: arguments(args), version: version.transpose()? };
    Ok(ClientFrame::Subscribe(request))
}

fn mutate(MutFields { id, name, args, idem, trace, .. }: MutFields<'_>) -> Result<ClientFrame, Fault> {
    let idempotency_key = idem.map(|key| key.parse()).transpose();
    let trace = trace
        .and_then(|text| TraceContext::parse(&text))
        .map_or_else(TraceContext::new_root, TraceContext::child);
    let request = MutationRequest { id, name: name.into(), args: arguments(args), idempotency_key, trace };
    Ok(ClientFrame::Mutate(request))
}

/// The arguments, copied: a slice would keep the whole read buffer alive.
fn arguments(args: Option<&RawValue>) -> Bytes {
    args.map_or(Bytes::from_static(b"{}"), |args| Bytes::copy_from_slice(args.get().as_bytes()))
}

/// 16 hexadecimal digits. The digits are checked one by one, because `from_str_radix` also accepts a sign.
fn version(text: &str) -> Option<Version> {
    let clean = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    clean.then(|| u64::from_str_radix(text, 16).ok().map(Version)).flatten()
}

/// Counts brackets outside of strings. Whether the brackets match is left to the parser.
fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
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
