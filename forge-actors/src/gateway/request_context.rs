//! The identity of one request: its trace (W3C Trace Context), its id and the client's address.

use std::io::Write;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::headers::single;
use crate::kernel::ids::RequestId;
use crate::kernel::trace::TraceContext;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Length of a `traceparent` header, and where the trace id stands in it.
const TRACEPARENT_LENGTH: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;

/// The identity of one request.
pub(super) struct RequestContext {
    /// The span of this request: a child of the caller's span, or the start of a trace.
    pub(super) trace: TraceContext,
    /// The caller's `X-Request-Id` if it is a UUID (another text could be made to look like a log line), or a
    /// new id.
    pub(super) request_id: RequestId,
    /// Address of the client.
    pub(super) ip: IpAddr,
    /// `traceparent` and request id as text, one behind the other: three headers share this one allocation.
    text: Bytes,
}

impl RequestContext {
    pub(super) fn of(headers: &HeaderMap, ip: IpAddr) -> Self {
        // A repeated header is as good as none: which of the two is meant is not known (W3C Trace Context,
        // "restart the trace").
        let text = |name| single(headers, &name).and_then(|value| value.to_str().ok());
        let trace = text(TRACEPARENT)
            .and_then(TraceContext::parse)
            .map_or_else(TraceContext::new_root, TraceContext::child);
        let request_id = text(X_REQUEST_ID).and_then(|id| id.parse().ok()).unwrap_or_else(new_request_id);
        let mut text = Vec::with_capacity(96);
        write!(text, "{trace}{request_id}").expect("writing to a vector does not fail");
        Self { trace, request_id, ip, text: text.into() }
    }

    /// The trace id as 32 hexadecimal digits.
    pub(super) fn trace_id(&self) -> &str {
        std::str::from_utf8(&self.text[TRACE_ID]).expect("hexadecimal digits are UTF-8")
    }

    /// Adds the headers by which the client finds the request in logs and traces.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        let parts = [
            (TRACEPARENT, 0..TRACEPARENT_LENGTH),
            (X_TRACE_ID, TRACE_ID),
            (X_REQUEST_ID, TRACEPARENT_LENGTH..self.text.len()),
        ];
        for (name, range) in parts {
            let value = HeaderValue::from_maybe_shared(self.text.slice(range))
                .expect("digits and hyphens are a header value");
            headers.insert(name, value);
        }
    }
}

/// A UUIDv7 whose random part need not be secret, and so costs no system call.
pub(super) fn new_request_id() -> RequestId {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    RequestId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}
