//! What the head of every request is checked for before its route is served: the host that it names, and
//! headers that may occur only once.
//!
//! Of a header that is sent twice, one program reads the first value and the next one the second; what a
//! proxy has checked is then not what this server uses.

use hyper::Version;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
};
use hyper::http::request::Parts;

use super::headers::{IDEMPOTENCY_KEY, SEC_FETCH_SITE};
use super::hosts::AllowedHosts;
use crate::kernel::fault::{Code, Fault};

/// Headers that this server reads one value of. `traceparent` and `x-request-id` are not here: a repeated one
/// counts as none, and the request goes on.
static SINGLE_VALUED: [HeaderName; 9] = [
    HOST,
    AUTHORIZATION,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    IDEMPOTENCY_KEY,
    ORIGIN,
    SEC_FETCH_SITE,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
];

/// Checks the head of a request. A probe over HTTP/1.0 may come without a host.
///
/// # Errors
/// `BAD_REQUEST` for a host that is missing, and for a repeated header; `PERMISSION_DENIED` for a host that
/// this server does not answer for.
pub(super) fn check(head: &Parts, hosts: &AllowedHosts, is_probe: bool) -> Result<(), Fault> {
    let headers = &head.headers;
    // As many names as values: nothing is repeated, which is the usual case.
    if headers.len() != headers.keys_len() {
        let mut repeated = SINGLE_VALUED.iter();
        if let Some(name) = repeated.find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
            return Err(bad(format!("the request has more than one header `{name}`"))
                .with_help("send the header once; a proxy may have added the second one"));
        }
    }
    let host = headers.get(HOST).filter(|host| !host.is_empty());
    let target = head.uri.authority();
    let is_named = match head.version {
        // The pseudo-header `:authority` replaces the header (RFC 9113 §8.3.1).
        Version::HTTP_2 => host.is_some() || target.is_some(),
        Version::HTTP_11 => host.is_some(),
        _ => host.is_some() || is_probe,
    };
    if !is_named {
        return Err(bad("the request names no host: the header `Host` is missing"));
    }
    hosts.check(
        target.map(|target| target.as_str().as_bytes()).into_iter().chain(host.map(HeaderValue::as_bytes)),
    )
}

fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::BadRequest, message)
}
