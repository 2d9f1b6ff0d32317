//! The connection below a link, with two timeouts: for reads that receive nothing, and for writes that do not
//! progress.
//!
//! Both nodes send a ping every two seconds. A connection on which nothing arrives is therefore cut, or the
//! peer's process is frozen.

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

/// The link ends when nothing arrives for this long.
pub(super) const READ_IDLE_MAX: Duration = secs(8);
/// The link ends when a write makes no progress for this long.
pub(super) const WRITE_STALL_MAX: Duration = secs(5);

/// A socket with or without TLS.
pub(super) enum MeshSocket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// An authenticated connection, as it is passed to the crate that carries the links.
pub(super) struct MeshStream {
    socket: MeshSocket,
    label: String,
}

impl MeshStream {
    pub(super) fn new(socket: MeshSocket, key: LinkKey) -> Self {
        Self { socket, label: label(key) }
    }
}

/// The link's key as text: ractor_cluster labels connections with strings.
pub(super) fn label(key: LinkKey) -> String {
    format!("{:032x}", key.0)
}

/// The link's key from its label; `None` for a connection of ractor_cluster's own listener.
pub(super) fn key_of(label: &str) -> Option<LinkKey> {
    u128::from_str_radix(label, 16).ok().map(LinkKey)
}

impl ClusterBidiStream for MeshStream {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        match self.socket {
            MeshSocket::Plain(socket) => {
                let (read, write) = socket.into_split();
                (Box::new(IdleRead::new(read)), Box::new(StallWrite::new(write)))
            }
            MeshSocket::Tls(stream) => {
                let (read, write) = tokio::io::split(*stream);
                (Box::new(IdleRead::new(read)), Box::new(StallWrite::new(write)))
            }
        }
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.label.clone())
    }
}

/// A reader that fails when nothing arrives for [`READ_IDLE_MAX`].
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
        // Data comes before the alarm: in a process that was stopped the alarm is overdue, and data may have
        // arrived in the meantime.
        if let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buffer) {
            self.last = Instant::now();
            return Poll::Ready(read);
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            // The alarm is reset only when it fires: a reset at each read would cost more than the read.
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

/// A writer that fails when a write makes no progress for [`WRITE_STALL_MAX`].
pub(super) struct StallWrite<W> {
    inner: W,
    alarm: Pin<Box<Sleep>>,
    stalled: bool,
}

impl<W> StallWrite<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, alarm: Box::pin(tokio::time::sleep(WRITE_STALL_MAX)), stalled: false }
    }

    fn check_stall<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        if !self.stalled {
            self.stalled = true;
            self.alarm.as_mut().reset(Instant::now() + WRITE_STALL_MAX);
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other node reads nothing")))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for StallWrite<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, data);
        self.check_stall(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.check_stall(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.check_stall(cx, closed)
    }
}
