//! Frames to the client. Results of functions and queries are inserted as the bytes in which they came,
//! without parsing them.

use std::io::Write;

use bytes::Bytes;
use serde::Serialize;

use super::client_state::{ResultChange, ResultMod, TransitionFrame};
use super::wire::{Payload, TextFrame};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::Timestamp;
use crate::kernel::wire::WireFault;

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
    Auth(AuthReply<'a>),
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

/// The answer to `auth`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum AuthReply<'a> {
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

/// The frame `mutResult`.
pub(super) fn mutation_result(id: u32, result: &Result<Bytes, Fault>, trace_id: &str) -> TextFrame {
    TextFrame::new(256, |payload| {
        put(payload, format_args!(r#"{{"type":"mutResult","id":{id}"#));
        match result {
            Ok(data) => {
                payload.put(br#","data":"#);
                payload.share(data);
            }
            Err(fault) => put_error(payload, fault, trace_id),
        }
        payload.put(b"}");
    })
}

/// The frame `transition`. `bytes_max` is the limit that a [`ResultChange::TooLarge`] has exceeded.
pub(super) fn transition(transition: TransitionFrame, bytes_max: usize) -> TextFrame {
    let TransitionFrame { from, to, mods, applied, bytes } = transition;
    let shared: usize = mods.iter().filter_map(ResultMod::shared_bytes).sum();
    let frame = TextFrame::new(bytes.saturating_sub(shared), |payload| {
        put(payload, format_args!(r#"{{"type":"transition","from":{from},"to":{to},"mods":["#));
        for (position, modification) in mods.iter().enumerate() {
            if position > 0 {
                payload.put(b",");
            }
            put_mod(payload, modification, bytes_max);
        }
        payload.put(br#"],"applied":["#);
        for (position, mutation) in applied.iter().enumerate() {
            let separator = if position > 0 { "," } else { "" };
            put(payload, format_args!("{separator}{}", mutation.0));
        }
        payload.put(b"]}");
    });
    let is_shared = |modification: &ResultMod| modification.shared_bytes().is_some();
    frame.of_results(mods.into_iter().filter(is_shared).map(|modification| modification.result).collect())
}

fn put_mod(payload: &mut Payload, modification: &ResultMod, bytes_max: usize) {
    let ResultMod { client_subscription, change, result } = modification;
    let version = result.version;
    put(payload, format_args!(r#"{{"id":{client_subscription}"#));
    match (change, &result.outcome) {
        (ResultChange::Unchanged, _) => {
            put(payload, format_args!(r#","unchanged":true,"version":"{version}""#));
        }
        (ResultChange::Snapshot, Ok(data)) => {
            payload.put(br#","snapshot":"#);
            payload.share(data);
            put(payload, format_args!(r#","version":"{version}""#));
        }
        (_, Err(fault)) => put_error(payload, fault, &result.trace.trace_id_hex()),
        (ResultChange::TooLarge | ResultChange::Error, Ok(_)) => {
            let message = format!("a result that is sent to a client has at most {bytes_max} bytes");
            let fault = Fault::new(Code::PayloadTooLarge, message)
                .with_details(serde_json::json!({ "bytesMax": bytes_max }));
            put_error(payload, &fault, &result.trace.trace_id_hex());
        }
    }
    payload.put(b"}");
}

fn put_error(payload: &mut Payload, fault: &Fault, trace_id: &str) {
    payload.put(br#","error":"#);
    serde_json::to_writer(payload, &fault.wire(trace_id)).expect("a fault has only string keys");
}

fn put(payload: &mut Payload, text: std::fmt::Arguments<'_>) {
    payload.write_fmt(text).expect("writing to memory does not fail");
}
