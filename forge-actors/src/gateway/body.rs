//! Reading a request's body within its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use super::config::GatewayConfig;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::format_duration;

/// A body that remembers whether all of it came.
pub(super) struct RequestBody {
    incoming: Incoming,
    ended: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { ended: incoming.is_end_stream(), incoming }
    }

    /// The client may still be sending.
    pub(super) fn unread(&self) -> bool {
        !self.ended
    }

    /// The JSON of the body; an empty body is empty. Checks the type first: a page of a foreign origin can send `text/plain` and
    /// forms without asking (a "simple request"), but not this type.
    pub(super) async fn read_json(&mut self, headers: &HeaderMap, config: &GatewayConfig) -> Result<Bytes, Fault> {
        let empty = self.ended;
        if !empty && !is_json(headers) {
            return Err(Fault::new(Code::UnsupportedMediaType, "the body must be `application/json` in UTF-8"));
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Fault::new(Code::UnsupportedMediaType, "compressed bodies are not accepted"));
        }
        if empty { Ok(Bytes::new()) } else { self.read(config.body_bytes_max, config.body_timeout).await }
    }

    async fn read(&mut self, bytes_max: usize, limit: Duration) -> Result<Bytes, Fault> {
        let too_large = || {
            let details = serde_json::json!({ "bytesMax": bytes_max });
            Fault::new(Code::PayloadTooLarge, format!("the body may have at most {bytes_max} bytes")).with_details(details)
        };
        if self.incoming.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        let read = tokio::time::timeout(limit, self.collect(bytes_max));
        let Ok(read) = read.await else {
            return Err(Fault::new(Code::BadRequest, format!("the body did not arrive within {}", format_duration(limit))));
        };
        let broken = |error| Fault::new(Code::BadRequest, "the body ended before its time").because(error);
        read.map_err(broken)?.ok_or_else(too_large)
    }

    /// `None` when it is too large. A body of one frame, the usual case, is not copied.
    async fn collect(&mut self, bytes_max: usize) -> Result<Option<Bytes>, hyper::Error> {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while !self.ended {
            let Some(frame) = self.incoming.frame().await else {
                self.ended = true;
                break;
            };
            let Ok(data) = frame?.into_data() else { continue };
            self.ended = self.incoming.is_end_stream();
            if first.len() + rest.len() + data.len() > bytes_max {
                return Ok(None);
            }
            if first.is_empty() && rest.is_empty() {
                first = data;
                continue;
            }
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&data);
        }
        Ok(Some(if rest.is_empty() { first } else { rest.freeze() }))
    }
}

/// `application/json`, with no charset or UTF-8 (RFC 8259 §8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(header), None) = (types.next(), types.next()) else { return false };
    if header == "application/json" {
        return true;
    }
    let Ok(text) = header.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => value.trim_matches('"').eq_ignore_ascii_case("utf-8"),
        _ => true,
    };
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) && parts.all(utf8)
}
