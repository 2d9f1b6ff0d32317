//! Reading a request's body within its limits: the size and time of each body, and the memory that all bodies
//! of the node share.
//!
//! Ten thousand connections with a megabyte each would take ten gigabytes. A body that does not arrive in one
//! piece (the connection's buffer) reserves the bytes that it may need before it is collected, and keeps the
//! reservation until its request is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::GatewayConfig;
use super::headers::single;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::{format_duration, secs};

/// Bytes of one permit of the shared capacity.
const PERMIT_BYTES: usize = 1024;

/// The memory that the bodies of all requests of the node may take.
pub(super) struct BodyCapacity(Arc<Semaphore>);

impl BodyCapacity {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / PERMIT_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Fault> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES as u64)).unwrap_or(u32::MAX);
        let full = |_| {
            Fault::new(Code::Overloaded, "the node is reading too many large bodies")
                .with_help("try again after `retryAfterMs`, or raise `gateway.bodies_bytes_max`")
                .retry_after(secs(1))
        };
        Arc::clone(&self.0).try_acquire_many_owned(permits).map_err(full)
    }
}

/// The body of one request.
pub(super) struct RequestBody {
    incoming: Incoming,
    /// All of the body has been read.
    ended: bool,
    reserved: Option<OwnedSemaphorePermit>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { ended: incoming.is_end_stream(), incoming, reserved: None }
    }

    /// The client may still be sending.
    pub(super) fn is_unread(&self) -> bool {
        !self.ended
    }

    /// The JSON of the body, not parsed; empty for an empty body. The content type is checked first, also of
    /// an empty body: a page of another origin can send `text/plain`, forms and empty requests without a
    /// preflight (a "simple request"), but not `application/json`.
    pub(super) async fn read_json(
        &mut self,
        headers: &HeaderMap,
        config: &GatewayConfig,
        capacity: &BodyCapacity,
    ) -> Result<Bytes, Fault> {
        let empty = self.ended;
        if !is_json(headers) {
            return Err(Fault::new(
                Code::UnsupportedMediaType,
                "the request needs `content-type: application/json` in UTF-8, also without a body",
            ));
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Fault::new(Code::UnsupportedMediaType, "compressed bodies are not accepted")
                .with_help("send the body as it is, without `content-encoding`"));
        }
        if empty {
            Ok(Bytes::new())
        } else {
            self.read(config.body_bytes_max, config.body_timeout, capacity).await
        }
    }

    async fn read(
        &mut self,
        bytes_max: usize,
        limit: Duration,
        capacity: &BodyCapacity,
    ) -> Result<Bytes, Fault> {
        if self.incoming.size_hint().lower() > bytes_max as u64 {
            return Err(too_large(bytes_max));
        }
        let late = || {
            Fault::new(Code::BadRequest, format!("the body did not arrive within {}", format_duration(limit)))
                .with_help("send it faster, or raise `gateway.body_timeout`")
        };
        tokio::time::timeout(limit, self.collect(bytes_max, capacity)).await.map_err(|_| late())?
    }

    /// A body of one frame, the usual case, is not copied.
    async fn collect(&mut self, bytes_max: usize, capacity: &BodyCapacity) -> Result<Bytes, Fault> {
        let first = self.frame().await?;
        if first.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if self.ended {
            return Ok(first);
        }
        let rest_max = self.incoming.size_hint().upper().unwrap_or(bytes_max as u64);
        self.reserved =
            Some(capacity.reserve(rest_max.saturating_add(first.len() as u64).min(bytes_max as u64))?);
        let mut whole = BytesMut::from(first);
        while !self.ended {
            let data = self.frame().await?;
            if whole.len() + data.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }

    /// The next piece; empty at the end, and for trailers.
    async fn frame(&mut self) -> Result<Bytes, Fault> {
        let Some(frame) = self.incoming.frame().await else {
            self.ended = true;
            return Ok(Bytes::new());
        };
        let broken = |error| {
            Fault::new(Code::BadRequest, "the connection closed before the whole body had arrived")
                .because(error)
        };
        let data = frame.map_err(broken)?.into_data().unwrap_or_default();
        self.ended = self.incoming.is_end_stream();
        Ok(data)
    }
}

fn too_large(bytes_max: usize) -> Fault {
    let details = serde_json::json!({ "bytesMax": bytes_max });
    Fault::new(Code::PayloadTooLarge, format!("the body may have at most {bytes_max} bytes"))
        .with_details(details)
        .with_help("send less, or raise `gateway.body_bytes_max`")
}

/// `application/json`, with no charset or UTF-8 (RFC 8259 §8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(header) = single(headers, &CONTENT_TYPE) else { return false };
    if header == "application/json" {
        return true;
    }
    let Ok(text) = header.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) && parts.all(utf8)
}
