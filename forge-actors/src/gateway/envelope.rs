//! The JSON around every answer: `{"data": …}`, or `{"error": {…}}` with a stable code.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::kernel::fault::Fault;
use crate::kernel::wire::WireFault;

#[derive(Serialize)]
struct ErrorEnvelope<'a> {
    error: WireFault<'a>,
}

/// `{"data": …}` around JSON that a handler wrote; it is not read again.
pub(super) fn data(json: &[u8]) -> Bytes {
    const HEAD: &[u8] = br#"{"data":"#;
    let mut body = Vec::with_capacity(HEAD.len() + json.len() + 1);
    body.extend_from_slice(HEAD);
    body.extend_from_slice(json);
    body.push(b'}');
    body.into()
}

/// `{"error": …}`: code, message and details of the fault; in development also cause and help.
pub(super) fn error(fault: &Fault, trace_id: &str) -> Bytes {
    serde_json::to_vec(&ErrorEnvelope { error: fault.wire(trace_id) })
        .expect("an error envelope has only string keys")
        .into()
}

/// Appends `{"id":…,"data":…}` or `{"id":…,"error":…}` to the answer of a batch. `id` is JSON.
pub(super) fn append_item(answer: &mut Vec<u8>, id: &str, result: &Result<Bytes, Fault>, trace_id: &str) {
    answer.extend_from_slice(br#"{"id":"#);
    answer.extend_from_slice(id.as_bytes());
    match result {
        Ok(json) => {
            answer.extend_from_slice(br#","data":"#);
            answer.extend_from_slice(json);
        }
        Err(fault) => {
            answer.extend_from_slice(br#","error":"#);
            serde_json::to_writer(&mut *answer, &fault.wire(trace_id))
                .expect("an error envelope has only string keys");
        }
    }
    answer.push(b'}');
}

/// `Retry-After` counts whole seconds (RFC 9110 §10.2.3), so the delay is rounded up.
pub(super) fn retry_after_seconds(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}
