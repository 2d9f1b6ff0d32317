//! Responses: JSON, errors, and the headers that every response has.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};

use super::envelope;
use super::request_context::RequestContext;
use super::response_body::ResponseContent;
use crate::kernel::fault::{Code, Fault};

/// Expected number of response headers; the map is created with this capacity.
const HEADERS_EXPECTED: usize = 12;

/// A response whose length is known when it is sent.
pub(super) type Response = hyper::Response<ResponseContent>;

/// Marks a response by which the node refuses work for a limit; it is sent after a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusedForLimit;

/// Marks `response` when one of its errors, which has this code, refuses work for a limit.
pub(super) fn mark_refusal(response: &mut Response, code: Code) {
    if code == Code::Overloaded {
        response.extensions_mut().insert(RefusedForLimit);
    }
}

/// Why a request was not served.
pub(super) struct RouteError {
    pub(super) fault: Fault,
    /// The methods that the path serves, when another method was the reason.
    allow: Option<&'static str>,
}

impl RouteError {
    /// The path serves only the methods `allow`.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let fault = Fault::new(Code::MethodNotAllowed, format!("this path answers {allow}"));
        Self { fault, allow: Some(allow) }
    }

    pub(super) fn not_found() -> Self {
        Fault::new(Code::NotFound, "there is nothing at this path")
            .with_help("functions are at `/rpc/<name>`; `forge-node functions` lists them")
            .into()
    }

    pub(super) fn response(&self, context: &RequestContext) -> Response {
        let fault = &self.fault;
        let status = StatusCode::from_u16(fault.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, envelope::error(fault, context.trace_id()));
        let headers = response.headers_mut();
        if let Some(delay) = fault.retry_delay() {
            headers.insert(RETRY_AFTER, envelope::retry_after_seconds(delay).into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        mark_refusal(&mut response, fault.code());
        response
    }
}

impl From<Fault> for RouteError {
    fn from(fault: Fault) -> Self {
        Self { fault, allow: None }
    }
}

/// A JSON response.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS_EXPECTED);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An empty response.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Adds the headers that every response has. Caches keep nothing unless the route allows it.
pub(super) fn add_common_headers(context: &RequestContext, headers: &mut HeaderMap) {
    context.add_headers(headers);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
