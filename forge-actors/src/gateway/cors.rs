//! Cross-origin requests (WHATWG Fetch, "CORS protocol"): an exact list of origins.
//!
//! An origin is repeated in the answer only if it is in the list. There is no wildcard, `null` cannot be
//! listed, and credentials (cookies) are never allowed: callers authenticate by a header, which a page of
//! another origin can only set after a preflight.

use std::collections::HashMap;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, StatusCode};

use super::headers::single;
use super::response::{Response, empty};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::remedy;

/// Every header that a client of Forge sends, and that a browser does not let pass by itself.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-none-match, traceparent, x-request-id",
);
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("etag, retry-after, traceparent, x-request-id, x-trace-id");

/// The allowed origins.
pub(super) struct Cors {
    origins: HashMap<Vec<u8>, HeaderValue>,
}

impl Cors {
    /// The list must have passed `GatewayConfig::validate`.
    pub(super) fn new(origins: &[String]) -> Self {
        let value = |origin: &String| {
            HeaderValue::from_str(origin).ok().map(|value| (origin.clone().into_bytes(), value))
        };
        Self { origins: origins.iter().filter_map(value).collect() }
    }

    /// The request is a preflight: the browser asks for permission before it sends the request itself.
    pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Answers a preflight; an origin that is not listed is refused.
    pub(super) fn preflight(&self, request: &HeaderMap) -> Result<Response, Fault> {
        if self.allowed(request).is_none() {
            return Err(refused_origin());
        }
        let mut response = empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Ok(response)
    }

    /// Adds the headers that let a page of a listed origin read the answer. `Vary` is added for every origin,
    /// so that caches keep the answers apart.
    pub(super) fn add_headers(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.allowed(request) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }

    /// The request names one origin, which is listed.
    pub(super) fn allows(&self, request: &HeaderMap) -> bool {
        self.allowed(request).is_some()
    }

    fn allowed(&self, request: &HeaderMap) -> Option<&HeaderValue> {
        self.origins.get(single(request, &ORIGIN)?.as_bytes())
    }
}

/// `PERMISSION_DENIED`: the request is one of a page whose origin is not listed.
pub(super) fn refused_origin() -> Fault {
    let message = "pages of this origin may not call this server: gateway.cors_origins does not list it";
    Fault::new(Code::PermissionDenied, message).with_help(remedy::ORIGIN)
}
