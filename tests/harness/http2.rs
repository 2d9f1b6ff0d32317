//! An HTTP/2 client (RFC 9113) that grants exactly the windows that a test wants, and sees every frame.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The setting SETTINGS_INITIAL_WINDOW_SIZE.
const INITIAL_WINDOW: u16 = 4;
/// Bytes of a frame's head.
const HEAD_BYTES: usize = 9;

/// One connection.
pub struct Http2 {
    stream: TcpStream,
}

/// A frame that concerns a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Http2Frame {
    /// The head of an answer; `true` when no body follows.
    Headers(u32, bool),
    /// Part of an answer; `true` for the last one.
    Data(u32, Vec<u8>, bool),
    /// The server gave the stream up, with this error code.
    Reset(u32, u32),
}

impl Http2 {
    /// Connects, and grants each stream `window` bytes.
    pub async fn connect(address: SocketAddr, window: u32) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the port is open"), window).await
    }

    /// Speaks over a stream of the caller's own making.
    pub async fn over(mut stream: TcpStream, window: u32) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the node reads");
        let mut client = Self { stream };
        let mut setting = INITIAL_WINDOW.to_be_bytes().to_vec();
        setting.extend_from_slice(&window.to_be_bytes());
        client.send(SETTINGS, 0, 0, &setting).await;
        client
    }

    /// Asks for `path` on a new stream; streams of clients have odd numbers that grow.
    pub async fn get(&mut self, stream: u32, path: &str) {
        // Indexed `:method GET` and `:scheme http`; literals with the names `:path` and `:authority`.
        let mut head = vec![0x82, 0x86];
        for (name, value) in [(0x04, path), (0x01, "127.0.0.1")] {
            head.push(name);
            head.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("a short value"));
            head.extend_from_slice(value.as_bytes());
        }
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &head).await;
    }

    /// Grants the stream `bytes` more; stream 0 is the connection.
    pub async fn grant(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    /// The next frame of a stream; what concerns the connection is answered. `None` when the server has
    /// closed the connection.
    pub async fn next(&mut self) -> Option<Http2Frame> {
        loop {
            let mut head = [0; HEAD_BYTES];
            // A reset closes as well as an end does.
            self.stream.read_exact(&mut head).await.ok()?;
            let [high, middle, low, kind, flags, id @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(id);
            match kind {
                DATA => return Some(Http2Frame::Data(stream, payload, flags & END_STREAM != 0)),
                HEADERS => return Some(Http2Frame::Headers(stream, flags & END_STREAM != 0)),
                RST_STREAM => {
                    let code = payload.try_into().map(u32::from_be_bytes).expect("a reset has four bytes");
                    return Some(Http2Frame::Reset(stream, code));
                }
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload).await,
                _ => {}
            }
        }
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // A server that has closed is noticed by `next`.
        let _closed = self.stream.write_all(&frame).await;
    }
}
