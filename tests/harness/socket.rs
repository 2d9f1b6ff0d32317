//! A WebSocket client that speaks the frames of the reference, and notices how it ends.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};
use tokio_tungstenite::tungstenite::{Error, http};

/// Longer than any time limit under test, so that a silent node fails its test by a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// Parts of a frame that have arrived (`forge.v1.parts`), without their first characters.
    parts: Vec<String>,
}

/// What a connection brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A frame.
    Frame(Value),
    /// The end, with the server's close code if it said one.
    Closed(Option<u16>),
}

impl Socket {
    /// Connects to the node at `base` (`http://host:port`), without saying anything.
    pub async fn connect(base: &str) -> Self {
        Self::try_connect(base, &[]).await.unwrap_or_else(|status| panic!("the upgrade is answered {status}"))
    }

    /// Connects with more headers; an error is the HTTP status that refused it.
    pub async fn try_connect(base: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let address = base.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("the port is open");
        Self::over(stream, address, headers).await
    }

    /// Upgrades a stream of the test's own making.
    pub async fn over(stream: TcpStream, host: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{host}/ws").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", http::HeaderValue::from_static("forge.v1"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header value"));
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Ok(Self { stream, parts: Vec::new() }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the upgrade fails: {error}"),
        }
    }

    /// Over a stream that is upgraded already.
    pub async fn upgraded(stream: TcpStream) -> Self {
        Self { stream: WebSocketStream::from_raw_socket(stream, Role::Client, None).await, parts: Vec::new() }
    }

    /// Connects and says `hello`.
    pub async fn hello(base: &str, token: Option<&str>) -> (Self, Value) {
        let mut socket = Self::connect(base).await;
        let welcome = socket.greet(token).await;
        (socket, welcome)
    }

    /// Says `hello`, for the `welcome`.
    pub async fn greet(&mut self, token: Option<&str>) -> Value {
        self.send(json!({ "type": "hello", "proto": 1, "token": token })).await;
        let welcome = self.frame().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        welcome
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Value) {
        self.send_message(Message::text(frame.to_string())).await.expect("the node reads");
    }

    /// Sends whatever the test wants to.
    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.stream.send(message).await
    }

    /// Subscribes.
    pub async fn subscribe(&mut self, id: u32, name: &str, args: Value) {
        self.send(json!({ "type": "sub", "id": id, "name": name, "args": args })).await;
    }

    /// What comes next.
    pub async fn next(&mut self) -> Received {
        loop {
            let next =
                tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("the node says something");
            match next {
                Some(Ok(Message::Text(text))) => match text.split_at_checked(1) {
                    Some(("+", part)) => self.parts.push(part.to_owned()),
                    Some(("=", last)) => {
                        self.parts.push(last.to_owned());
                        let frame = self.parts.drain(..).collect::<String>();
                        return Received::Frame(serde_json::from_str(&frame).expect("frames are JSON"));
                    }
                    _ => return Received::Frame(serde_json::from_str(&text).expect("frames are JSON")),
                },
                Some(Ok(Message::Close(close))) => {
                    return Received::Closed(close.map(|close| close.code.into()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("a frame that is no text: {other:?}"),
                Some(Err(_)) | None => return Received::Closed(None),
            }
        }
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        match self.next().await {
            Received::Frame(frame) => frame,
            Received::Closed(code) => panic!("the connection ended with {code:?}"),
        }
    }

    /// The next frame of this type; those before are passed over.
    pub async fn frame_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Waits for the end: the frames before it, and its close code.
    pub async fn closed(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Received::Frame(frame) => frames.push(frame),
                Received::Closed(code) => return (frames, code),
            }
        }
    }

    /// The socket below, for what no well-behaved client does.
    pub fn raw(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }
}
