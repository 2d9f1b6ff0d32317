//! What a response consists of, and how hyper gets it: part by part, the next one when the client has taken
//! the one before.
//!
//! So one response of a file has [`FRAME_BYTES`] in memory, whatever the file's size and whatever window an
//! HTTP/2 client grants. What exists as a whole is handed over in parts as well, since only a stream whose
//! last part h2 does not have yet can be reset.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::activity::RunningRequest;
use super::connection_table::CountedRequest;
use super::open_file::{FilePart, FileReader};
use super::response_delivery::{ResponseDelivery, ResponseFrame};
use crate::kernel::byte_budget::{BudgetClient, Charge, SMALL_BYTES_MAX};

/// Bytes of a part. To read one takes 5.5 µs and a change of threads 7.2 µs, so much smaller ones would
/// mostly change threads.
pub(super) const FRAME_BYTES: usize = 64 * 1024;

/// What a route answers with.
#[derive(Default)]
pub(super) enum ResponseContent {
    #[default]
    Empty,
    /// Made for this response.
    Made(Bytes),
    /// Part of the binary, which costs no memory.
    Static(Bytes),
    /// Part of a file, and the charge for what is in memory of it at a time.
    File(FilePart, Charge<IpAddr>),
}

/// The body of a response, as hyper takes it.
pub(super) struct ResponseBody {
    source: ResponseSource,
    /// Bytes that hyper does not have yet.
    left: u64,
    /// The end is sent apart, after the last part was taken, so that the stream can be reset until then.
    ends_apart: bool,
    delivery: Arc<ResponseDelivery>,
}

enum ResponseSource {
    Bytes(Bytes),
    File(FileReader),
}

impl ResponseContent {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Made(bytes) | Self::Static(bytes) => bytes.len() as u64,
            Self::File(part, _) => part.len(),
        }
    }

    /// The body of the response to `request` of `client`. `stream_timeout` is the time in which the client of
    /// an HTTP/2 stream must take something.
    pub(super) fn into_body(
        self,
        request: (RunningRequest, CountedRequest),
        client: &Arc<BudgetClient<IpAddr>>,
        stream_timeout: Option<Duration>,
    ) -> ResponseBody {
        let left = self.len();
        let (source, charge) = match self {
            Self::Empty => (ResponseSource::Bytes(Bytes::new()), None),
            Self::Made(bytes) => {
                let charge = client.charge(bytes.len());
                (ResponseSource::Bytes(bytes), Some(charge))
            }
            Self::Static(bytes) => (ResponseSource::Bytes(bytes), None),
            Self::File(part, charge) => (ResponseSource::File(part.into()), Some(charge)),
        };
        ResponseBody {
            source,
            left,
            // A frame more for each small response would cost more than ending the connection now and then.
            ends_apart: stream_timeout.is_some() && left > SMALL_BYTES_MAX as u64,
            delivery: Arc::new(ResponseDelivery::new(request, charge, stream_timeout)),
        }
    }
}

impl From<Bytes> for ResponseContent {
    fn from(bytes: Bytes) -> Self {
        Self::Made(bytes)
    }
}

impl From<String> for ResponseContent {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

impl ResponseBody {
    pub(super) fn delivery(&self) -> &Arc<ResponseDelivery> {
        &self.delivery
    }
}

impl Body for ResponseBody {
    type Data = ResponseFrame;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<ResponseFrame>, io::Error>>> {
        let this = &mut *self;
        ready!(this.delivery.poll_taken(cx));
        let count = usize::try_from(this.left).unwrap_or(usize::MAX).min(FRAME_BYTES);
        if count == 0 {
            return Poll::Ready(None);
        }
        let part = match &mut this.source {
            ResponseSource::Bytes(bytes) => bytes.split_to(count),
            ResponseSource::File(reader) => match ready!(reader.poll_read(cx, count, &this.delivery)) {
                Ok(part) => part,
                Err(error) => {
                    tracing::warn!(%error, "response aborted: reading the file failed");
                    return Poll::Ready(Some(Err(error)));
                }
            },
        };
        this.left -= count as u64;
        Poll::Ready(Some(Ok(Frame::data(this.delivery.hand_over(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && !self.ends_apart
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
