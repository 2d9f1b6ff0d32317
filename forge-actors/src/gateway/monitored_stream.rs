//! A socket that reports to the [`ActivityMonitor`] what is read and written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::ActivityMonitor;

/// Bytes that a refused client may still send before its connection is closed.
const LINGER_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) struct MonitoredStream {
    stream: TcpStream,
    activity: Arc<ActivityMonitor>,
    lingered_bytes: u64,
}

impl MonitoredStream {
    pub(super) fn new(stream: TcpStream, activity: Arc<ActivityMonitor>) -> Self {
        Self { stream, activity, lingered_bytes: 0 }
    }

    /// The socket alone, for a session, which has time limits of its own.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn report_write(&self, result: &Poll<io::Result<usize>>, offered: usize) {
        match result {
            Poll::Ready(Ok(taken)) => self.activity.bytes_written(*taken, offered),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.set_stalled(),
        }
    }
}

impl AsyncRead for MonitoredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_read();
        }
        result
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.report_write(&result, buf.len());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.report_write(&result, bufs.iter().map(|buf| buf.len()).sum());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Closes the side that is written. After an answer that did not wait for its body, what the client still
    /// sends is read and dropped before the connection is closed.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if !self.activity.lingers() {
            return Poll::Ready(Ok(()));
        }
        self.activity.set_closing();
        let mut scratch = [0; 8 * 1024];
        while self.lingered_bytes < LINGER_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.lingered_bytes += buf.filled().len() as u64,
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
