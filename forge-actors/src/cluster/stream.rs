//! The connection that carries a link, with its two clocks: reading must not be idle, writing must not stall.
//!
//! Both nodes send a ping every two seconds, so a connection on which nothing arrives is cut, or its peer is
//! frozen, or both.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ractor_cluster::{BoxRead, BoxWrite, ClusterBidiStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsStream;

use crate::kernel::envelope::LinkKey;
use crate::kernel::time::secs;

/// Nothing arrives for this long: the link ends.
pub(super) const READ_IDLE_MAX: Duration = secs(8);
/// Nothing can be written for this long: the link ends.
pub(super) const WRITE_STALL_MAX: Duration = secs(5);

/// The socket below.
pub(super) enum Guarded {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What is handed to the crate that carries the links.
pub(super) struct MeshStream {
    socket: Guarded,
    label: String,
}

impl MeshStream {
    pub(super) fn new(socket: Guarded, key: LinkKey) -> Self {
        Self { socket, label: label(key) }
    }
}

/// The name of a link where only texts are carried.
pub(super) fn label(key: LinkKey) -> String {
    format!("{:032x}", key.0)
}

/// The link of a label.
pub(super) fn key_of(label: &str) -> Option<LinkKey> {
    u128::from_str_radix(label, 16).ok().map(LinkKey)
}

impl ClusterBidiStream for MeshStream {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        match self.socket {
            Guarded::Plain(socket) => {
                let (read, write) = socket.into_split();
                (Box::new(IdleRead::new(read)), Box::new(StallWrite::new(write)))
            }
            Guarded::Tls(stream) => {
                let (read, write) = tokio::io::split(*stream);
                (Box::new(IdleRead::new(read)), Box::new(StallWrite::new(write)))
            }
        }
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.label.clone())
    }
}

/// A reader that fails when nothing comes for too long.
pub(super) struct IdleRead<R> {
    inner: R,
    alarm: Pin<Box<Sleep>>,
    last: Instant,
}

impl<R> IdleRead<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, alarm: Box::pin(tokio::time::sleep(READ_IDLE_MAX)), last: Instant::now() }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for IdleRead<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Data first: a process that was stopped finds its alarm overdue, and data that came meanwhile.
        if let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buffer) {
            self.last = Instant::now();
            return Poll::Ready(read);
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            // The alarm is not set anew at each read, which would cost more than the read.
            let due = self.last + READ_IDLE_MAX;
            if Instant::now() >= due {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing arrives from the other node",
                )));
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

/// A writer that fails when nothing can be written for too long.
pub(super) struct StallWrite<W> {
    inner: W,
    alarm: Pin<Box<Sleep>>,
    stalled: bool,
}

impl<W> StallWrite<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, alarm: Box::pin(tokio::time::sleep(WRITE_STALL_MAX)), stalled: false }
    }

    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        if !self.stalled {
            self.stalled = true;
            self.alarm.as_mut().reset(Instant::now() + WRITE_STALL_MAX);
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other node takes nothing")))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for StallWrite<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, data);
        self.watched(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watched(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watched(cx, closed)
    }
}
