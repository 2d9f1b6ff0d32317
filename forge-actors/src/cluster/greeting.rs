//! The greeting over a real connection: sockets, deadlines, TLS. What is said stands in
//! [`handshake`](super::handshake).

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake::{
    Cookie, HandshakeError, Hello, MESSAGE_BYTES_MAX, PROOF_BYTES, Refusal, Side, Transcript,
};
use super::stream::{Guarded, MeshStream};
use super::tls::{self, Tls};
use crate::kernel::envelope::LinkKey;
use crate::kernel::ids::NodeId;
use crate::kernel::time::{millis, secs};

/// Time for the whole greeting, TLS included; then the connection is closed.
const GREETING_DEADLINE: Duration = secs(5);
/// Time to reach another node.
const CONNECT_DEADLINE: Duration = millis(1_500);
/// Data that the other side's kernel does not acknowledge for this long end the connection.
const UNACKNOWLEDGED_MAX: Duration = secs(8);
/// Bytes of a socket's buffers: what a frozen peer can make the kernel hold.
const SOCKET_BUFFER_BYTES: usize = 256 * 1024;

const PROOF: u8 = 1;
const REFUSAL: u8 = 2;

/// Who this node is in a greeting.
#[derive(Clone)]
pub(super) struct Greeter {
    pub(super) node: NodeId,
    pub(super) name: Arc<str>,
    pub(super) address: Arc<str>,
    pub(super) cookie: Cookie,
    pub(super) tls: Option<Tls>,
}

/// A node that has proved what it is, on a connection that is ready to carry frames.
pub(super) struct Newcomer {
    pub(super) hello: Hello,
    pub(super) side: Side,
    pub(super) key: LinkKey,
    pub(super) stream: MeshStream,
}

/// A greeting that a listener ended, or that ended by itself.
#[derive(Debug)]
pub(super) struct TurnedAway {
    /// Who the other side said it is, which nothing has proved.
    pub(super) claimed: Option<NodeId>,
    pub(super) error: HandshakeError,
}

impl Greeter {
    /// Reaches `node`, called `name`, at `address`.
    pub(super) async fn dial(
        &self,
        node: NodeId,
        name: &str,
        address: &str,
    ) -> Result<Newcomer, HandshakeError> {
        let socket = timeout(CONNECT_DEADLINE, TcpStream::connect(address))
            .await
            .map_err(|_| HandshakeError::TooSlow)??;
        let dialing = async {
            let as_dialer = Part { side: Side::Dialer, expected: Some(node), claimed: &OnceLock::new() };
            match &self.tls {
                None => self.greet_plain(socket, as_dialer).await,
                Some(tls) => {
                    prepare(&socket)?;
                    let stream = tls.connect(socket, name).await?;
                    self.greet_tls(stream, as_dialer).await
                }
            }
        };
        timeout(GREETING_DEADLINE, dialing).await.unwrap_or(Err(HandshakeError::TooSlow))
    }

    /// Hears who knocks.
    pub(super) async fn answer(&self, socket: TcpStream) -> Result<Newcomer, TurnedAway> {
        let claimed = OnceLock::new();
        let as_listener = Part { side: Side::Listener, expected: None, claimed: &claimed };
        let answering = async {
            match &self.tls {
                None => self.greet_plain(socket, as_listener).await,
                Some(tls) => {
                    prepare(&socket)?;
                    let stream = tls.accept(socket).await?;
                    self.greet_tls(stream, as_listener).await
                }
            }
        };
        let answered = timeout(GREETING_DEADLINE, answering).await.unwrap_or(Err(HandshakeError::TooSlow));
        answered.map_err(|error| TurnedAway { claimed: claimed.get().copied(), error })
    }

    async fn greet_plain(&self, mut socket: TcpStream, part: Part<'_>) -> Result<Newcomer, HandshakeError> {
        prepare(&socket)?;
        let side = part.side;
        let greeted = self.greet(&mut socket, part, &[], |_| true).await?;
        let stream = MeshStream::new(Guarded::Plain(socket), greeted.key);
        Ok(Newcomer { hello: greeted.hello, side, key: greeted.key, stream })
    }

    async fn greet_tls(
        &self,
        mut stream: tokio_rustls::TlsStream<TcpStream>,
        part: Part<'_>,
    ) -> Result<Newcomer, HandshakeError> {
        let side = part.side;
        let binding = tls::binding(&stream)?;
        // The dialer asked for the name in the TLS handshake; the listener learns it from the hello.
        let certificates = tls::Names::of(&stream);
        let greeted = self.greet(&mut stream, part, &binding, |name| certificates.include(name)).await?;
        let stream = MeshStream::new(Guarded::Tls(Box::new(stream)), greeted.key);
        Ok(Newcomer { hello: greeted.hello, side, key: greeted.key, stream })
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        Part { side, expected, claimed }: Part<'_>,
        binding: &[u8],
        is_named: impl Fn(&str) -> bool,
    ) -> Result<Greeted, HandshakeError> {
        let ours = Hello::new(self.node, &self.name, &self.address)?;
        let our_bytes = ours.encode();
        let their_bytes = match side {
            Side::Dialer => {
                write(stream, &our_bytes).await?;
                read(stream).await?
            }
            Side::Listener => {
                let theirs = read(stream).await?;
                // Nothing is answered to what is no greeting.
                Hello::decode(&theirs)?;
                write(stream, &our_bytes).await?;
                theirs
            }
        };
        let theirs = Hello::decode(&their_bytes)?;
        // One greeting has one hello of theirs.
        let _first = claimed.set(theirs.node);
        let transcript = match side {
            Side::Dialer => Transcript::new(&our_bytes, &their_bytes, binding),
            Side::Listener => Transcript::new(&their_bytes, &our_bytes, binding),
        };
        let judged = judge(&ours, &theirs, expected, &is_named);
        match side {
            Side::Dialer => {
                judged?;
                write(stream, &tagged(PROOF, &transcript.proof(&self.cookie, side))).await?;
                self.check(&transcript, side.other(), &read(stream).await?)?;
            }
            Side::Listener => {
                let shown = read(stream).await?;
                // The proof comes first: who does not know the secret learns nothing else.
                let judged = self.check(&transcript, side.other(), &shown).and(judged);
                if let Err(error) = judged {
                    refuse(stream, &error).await?;
                    return Err(error);
                }
                write(stream, &tagged(PROOF, &transcript.proof(&self.cookie, side))).await?;
            }
        }
        Ok(Greeted { key: transcript.link(&self.cookie), hello: theirs })
    }

    /// Reads a proof or a refusal.
    fn check(&self, transcript: &Transcript, side: Side, message: &[u8]) -> Result<(), HandshakeError> {
        match message.split_first() {
            Some((&PROOF, shown)) if transcript.proves(&self.cookie, side, shown) => Ok(()),
            Some((&PROOF, _)) => Err(HandshakeError::WrongSecret),
            Some((&REFUSAL, reason)) => {
                let reason = bincode::serde::decode_from_slice(
                    reason,
                    bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>(),
                );
                Err(reason.map_or(HandshakeError::NoHello, |(reason, _)| HandshakeError::Refused(reason)))
            }
            _ => Err(HandshakeError::NoHello),
        }
    }
}

/// This node's part in one greeting.
struct Part<'a> {
    side: Side,
    /// Whom it reaches for.
    expected: Option<NodeId>,
    /// Takes note of who the other side says it is.
    claimed: &'a OnceLock<NodeId>,
}

struct Greeted {
    hello: Hello,
    key: LinkKey,
}

/// Whether the other side, if it is what it says, is somebody to talk to.
fn judge(
    ours: &Hello,
    theirs: &Hello,
    expected: Option<NodeId>,
    is_named: &impl Fn(&str) -> bool,
) -> Result<(), HandshakeError> {
    ours.agree(theirs)?;
    if theirs.node == ours.node {
        return Err(HandshakeError::Oneself);
    }
    if expected.is_some_and(|expected| expected != theirs.node) {
        return Err(HandshakeError::OtherNode(theirs.node));
    }
    if !is_named(&theirs.name) {
        return Err(HandshakeError::OtherName(theirs.name.clone()));
    }
    Ok(())
}

/// Tells the other side why, as far as that helps it.
async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S, error: &HandshakeError) -> io::Result<()> {
    let reason = match error {
        HandshakeError::Protocol { .. } => Refusal::Protocol,
        HandshakeError::WrongSecret => Refusal::Secret,
        HandshakeError::OtherName(_) => Refusal::Name,
        HandshakeError::Oneself => Refusal::Oneself,
        _ => return Ok(()),
    };
    let reason = bincode::serde::encode_to_vec(reason, bincode::config::standard())
        .expect("a refusal is a plain enum");
    write(stream, &tagged(REFUSAL, &reason)).await
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 + PROOF_BYTES);
    message.push(tag);
    message.extend_from_slice(content);
    message
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut whole = Vec::with_capacity(2 + message.len());
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(message);
    stream.write_all(&whole).await?;
    stream.flush().await
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, HandshakeError> {
    let length = usize::from(stream.read_u16().await?);
    if length > MESSAGE_BYTES_MAX {
        return Err(HandshakeError::Oversized);
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(secs(3)).with_interval(secs(2)).with_retries(3))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}
