//! Frames to the client. What handlers and queries answered is spliced in as the bytes it is, and not read
//! again.

use std::io::Write;

use bytes::Bytes;
use serde::Serialize;

use super::wire::TextFrame;
use crate::kernel::fault::Fault;
use crate::kernel::time::Timestamp;
use crate::kernel::wire::WireFault;
use crate::reactor::Version;

/// A frame of a fixed shape.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum ServerFrame<'a> {
    Welcome {
        session: String,
        node: String,
        contract: Option<&'a str>,
        subject: Option<&'a str>,
        expires_at: Option<Timestamp>,
        ping_ms: u64,
    },
    Auth(Authenticated<'a>),
    GoAway {
        after_ms: u64,
    },
    Pong {
        id: u32,
    },
    Fault {
        error: WireFault<'a>,
    },
}

/// How an `auth` ended.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Authenticated<'a> {
    Accepted {
        subject: Option<&'a str>,
        #[serde(rename = "expiresAt")]
        expires_at: Option<Timestamp>,
    },
    Refused {
        error: WireFault<'a>,
    },
}

impl ServerFrame<'_> {
    pub(super) fn text(&self) -> TextFrame {
        TextFrame::new(256, |payload| {
            serde_json::to_writer(payload, self).expect("a frame has only string keys")
        })
    }
}

/// `mutResult`.
pub(super) fn mutation_result(id: u32, outcome: &Result<Bytes, Fault>, trace_id: &str) -> TextFrame {
    let length = outcome.as_ref().map_or(256, Bytes::len);
    TextFrame::new(64 + length, |payload| {
        put(payload, format_args!(r#"{{"type":"mutResult","id":{id}"#));
        match outcome {
            Ok(data) => {
                payload.extend_from_slice(br#","data":"#);
                payload.extend_from_slice(data);
            }
            Err(fault) => error(payload, fault, trace_id),
        }
        payload.push(b'}');
    })
}

/// A mod with the whole result.
pub(super) fn snapshot(payload: &mut Vec<u8>, id: u32, data: &[u8], version: Version) {
    put(payload, format_args!(r#"{{"id":{id},"snapshot":"#));
    payload.extend_from_slice(data);
    put(payload, format_args!(r#","version":"{:016x}"}}"#, version.0));
}

/// A mod that says that the client has the result already.
pub(super) fn unchanged(payload: &mut Vec<u8>, id: u32, version: Version) {
    put(payload, format_args!(r#"{{"id":{id},"unchanged":true,"version":"{:016x}"}}"#, version.0));
}

/// A mod with the error of its query.
pub(super) fn failed(payload: &mut Vec<u8>, id: u32, fault: &Fault, trace_id: &str) {
    put(payload, format_args!(r#"{{"id":{id}"#));
    error(payload, fault, trace_id);
    payload.push(b'}');
}

fn error(payload: &mut Vec<u8>, fault: &Fault, trace_id: &str) {
    payload.extend_from_slice(br#","error":"#);
    serde_json::to_writer(payload, &fault.wire(trace_id)).expect("a fault has only string keys");
}

/// Formats into the payload.
pub(super) fn put(payload: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    payload.write_fmt(text).expect("a vector takes what is written");
}
