//! What names one request: its trace (W3C Trace Context) and its id, on the way in and on the way out.

use std::io::Write;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::kernel::ids::RequestId;
use crate::kernel::trace::TraceContext;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Length of a `traceparent` header, and where the trace id stands in it.
const TRACEPARENT_LENGTH: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;

/// One request's names and origin.
pub(super) struct Exchange {
    /// This request's span: a child of the caller's, or the start of a trace.
    pub(super) trace: TraceContext,
    /// The caller's `X-Request-Id` if it is a UUID (anything else could be made to look like a log line), or
    /// a new one.
    pub(super) request_id: RequestId,
    /// Address of the peer.
    pub(super) ip: IpAddr,
    /// `traceparent` and request id as text, one after the other: three headers share this one allocation.
    names: Bytes,
}

impl Exchange {
    pub(super) fn begin(headers: &HeaderMap, ip: IpAddr) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let trace = text(TRACEPARENT)
            .and_then(TraceContext::parse)
            .map_or_else(TraceContext::new_root, TraceContext::child);
        let request_id = text(X_REQUEST_ID).and_then(|id| id.parse().ok()).unwrap_or_else(new_request_id);
        let mut names = Vec::with_capacity(96);
        write!(names, "{trace}{request_id}").expect("a vector takes what is written");
        Self { trace, request_id, ip, names: names.into() }
    }

    /// The trace id as 32 hexadecimal digits.
    pub(super) fn trace_id(&self) -> &str {
        std::str::from_utf8(&self.names[TRACE_ID]).expect("hexadecimal digits are UTF-8")
    }

    /// Tells the client the names.
    pub(super) fn name(&self, headers: &mut HeaderMap) {
        let parts = [
            (TRACEPARENT, 0..TRACEPARENT_LENGTH),
            (X_TRACE_ID, TRACE_ID),
            (X_REQUEST_ID, TRACEPARENT_LENGTH..self.names.len()),
        ];
        for (name, range) in parts {
            let value = HeaderValue::from_maybe_shared(self.names.slice(range))
                .expect("digits and hyphens make a header value");
            headers.insert(name, value);
        }
    }
}

/// A UUIDv7 whose random part need not be secret, and so costs no system call.
pub(super) fn new_request_id() -> RequestId {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    RequestId::from_uuid(
        uuid::Builder::from_unix_timestamp_millis(
            u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            &random,
        )
        .into_uuid(),
    )
}
