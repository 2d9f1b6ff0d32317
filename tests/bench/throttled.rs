//! A client's end of a slow line.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

/// What the kernel takes for the client: little, so that the line is as slow as the reads.
const RECEIVE_BUFFER_BYTES: u32 = 16 * 1024;
/// Bytes of one read.
const PIECE_BYTES: usize = 1_024;
/// How late a timer may fire on a busy machine.
const LATE_MAX: Duration = Duration::from_millis(200);

/// A connection of which so many bytes a second are read; what is written is not delayed.
pub(crate) struct Throttled {
    stream: TcpStream,
    bytes_per_second: u32,
    /// Until the bytes that were read have arrived.
    arriving: Pin<Box<Sleep>>,
}

impl Throttled {
    pub(crate) async fn connect(address: SocketAddr, bytes_per_second: u32) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, bytes_per_second, arriving: Box::pin(sleep(Duration::ZERO)) })
    }
}

impl AsyncRead for Throttled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.arriving.as_mut().poll(cx));
        let mut piece = [0; PIECE_BYTES];
        let length = buf.remaining().min(PIECE_BYTES);
        let mut piece = ReadBuf::new(&mut piece[..length]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
        buf.put_slice(piece.filled());
        let took = Duration::from_secs(1) * piece.filled().len() as u32 / self.bytes_per_second;
        // A timer that fires a little late makes the line no slower, and a line that was idle no faster.
        let began = self.arriving.deadline().max(Instant::now() - LATE_MAX);
        self.arriving.as_mut().reset(began + took);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Throttled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
