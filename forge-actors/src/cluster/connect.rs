//! Makes authenticated connections to other nodes: TCP, TLS where it is configured, and the handshake, within
//! fixed deadlines. The handshake's messages are defined in [`handshake`](super::handshake).

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cluster_key::ClusterKey;
use super::handshake::{
    HandshakeError, MESSAGE_BYTES_MAX, MeshHello, PROOF_BYTES, RejectReason, Side, Transcript,
};
use super::stream::{MeshSocket, MeshStream};
use super::tls::{self, Tls};
use crate::kernel::envelope::LinkKey;
use crate::kernel::ids::NodeId;
use crate::kernel::time::{millis, secs};

/// Time for the whole handshake, TLS included; then the connection is closed.
const HANDSHAKE_DEADLINE: Duration = secs(5);
/// Time to open a TCP connection.
const CONNECT_DEADLINE: Duration = millis(1_500);
/// A connection ends when the peer's kernel acknowledges no data for this long.
const UNACKNOWLEDGED_MAX: Duration = secs(8);
/// Bytes of a socket's send and receive buffer. They bound the kernel memory that a frozen peer costs.
const SOCKET_BUFFER_BYTES: usize = 256 * 1024;

const PROOF: u8 = 1;
const REJECTION: u8 = 2;

/// Runs the handshake as this node.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) node: NodeId,
    pub(super) name: Arc<str>,
    pub(super) address: Arc<str>,
    pub(super) key: ClusterKey,
    pub(super) tls: Option<Tls>,
}

/// A peer that has authenticated, and its connection, which does not carry a link yet.
pub(super) struct PendingPeer {
    pub(super) hello: MeshHello,
    /// The side that this node is on.
    pub(super) side: Side,
    pub(super) key: LinkKey,
    pub(super) stream: MeshStream,
}

/// A connection that the listener rejected, or that ended during its handshake.
#[derive(Debug)]
pub(super) struct Rejected {
    /// The node that the peer claimed to be, without proof.
    pub(super) claimed: Option<NodeId>,
    pub(super) error: HandshakeError,
}

impl Connector {
    /// Connects to the mesh listener of `node`, which is called `name`, at `address`.
    pub(super) async fn dial(
        &self,
        node: NodeId,
        name: &str,
        address: &str,
    ) -> Result<PendingPeer, HandshakeError> {
        let socket = timeout(CONNECT_DEADLINE, TcpStream::connect(address))
            .await
            .map_err(|_| HandshakeError::TimedOut)??;
        let dialing = async {
            let as_dialer = Params { side: Side::Dialer, expected: Some(node), claimed: &OnceLock::new() };
            match &self.tls {
                None => self.handshake_plain(socket, as_dialer).await,
                Some(tls) => {
                    configure(&socket)?;
                    let stream = tls.connect(socket, name).await?;
                    self.handshake_tls(stream, as_dialer).await
                }
            }
        };
        timeout(HANDSHAKE_DEADLINE, dialing).await.unwrap_or(Err(HandshakeError::TimedOut))
    }

    /// Runs the listener's side of the handshake on a connection that was accepted.
    pub(super) async fn accept(&self, socket: TcpStream) -> Result<PendingPeer, Rejected> {
        let claimed = OnceLock::new();
        let as_listener = Params { side: Side::Listener, expected: None, claimed: &claimed };
        let accepting = async {
            match &self.tls {
                None => self.handshake_plain(socket, as_listener).await,
                Some(tls) => {
                    configure(&socket)?;
                    let stream = tls.accept(socket).await?;
                    self.handshake_tls(stream, as_listener).await
                }
            }
        };
        let accepted = timeout(HANDSHAKE_DEADLINE, accepting).await.unwrap_or(Err(HandshakeError::TimedOut));
        accepted.map_err(|error| Rejected { claimed: claimed.get().copied(), error })
    }

    async fn handshake_plain(
        &self,
        mut socket: TcpStream,
        params: Params<'_>,
    ) -> Result<PendingPeer, HandshakeError> {
        configure(&socket)?;
        let side = params.side;
        let (key, hello) = self.handshake(&mut socket, params, &[], |_| true).await?;
        Ok(PendingPeer { hello, side, key, stream: MeshStream::new(MeshSocket::Plain(socket), key) })
    }

    async fn handshake_tls(
        &self,
        mut stream: tokio_rustls::TlsStream<TcpStream>,
        params: Params<'_>,
    ) -> Result<PendingPeer, HandshakeError> {
        let side = params.side;
        let binding = tls::binding(&stream)?;
        // TLS checks the listener's name for the dialer. The listener knows the dialer's name from its hello.
        let certificate = tls::CertificateNames::of_peer(&stream);
        let named = |name: &str| certificate.include(name);
        let (key, hello) = self.handshake(&mut stream, params, &binding, named).await?;
        Ok(PendingPeer { hello, side, key, stream: MeshStream::new(MeshSocket::Tls(Box::new(stream)), key) })
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        Params { side, expected, claimed }: Params<'_>,
        binding: &[u8],
        is_named: impl Fn(&str) -> bool,
    ) -> Result<(LinkKey, MeshHello), HandshakeError> {
        let ours = MeshHello::new(self.node, &self.name, &self.address)?;
        let our_bytes = ours.encode();
        let their_bytes = match side {
            Side::Dialer => {
                write(stream, &our_bytes).await?;
                read(stream).await?
            }
            Side::Listener => {
                let theirs = read(stream).await?;
                // The listener sends nothing to a client that does not speak the handshake.
                MeshHello::decode(&theirs)?;
                write(stream, &our_bytes).await?;
                theirs
            }
        };
        let theirs = MeshHello::decode(&their_bytes)?;
        // The cell is empty: a handshake has one hello of the peer.
        let _first = claimed.set(theirs.node);
        let transcript = match side {
            Side::Dialer => Transcript::new(&our_bytes, &their_bytes, binding),
            Side::Listener => Transcript::new(&their_bytes, &our_bytes, binding),
        };
        let claims = check_claims(&ours, &theirs, expected, &is_named);
        match side {
            Side::Dialer => {
                claims?;
                write(stream, &tagged(PROOF, &transcript.proof(&self.key, side))).await?;
                self.check_proof(&transcript, side.other(), &read(stream).await?)?;
            }
            Side::Listener => {
                let proof = read(stream).await?;
                // The proof is checked first: a client without the cluster key learns no other reason.
                let checked = self.check_proof(&transcript, side.other(), &proof).and(claims);
                if let Err(error) = checked {
                    reject(stream, &error).await?;
                    return Err(error);
                }
                write(stream, &tagged(PROOF, &transcript.proof(&self.key, side))).await?;
            }
        }
        Ok((transcript.link_key(&self.key), theirs))
    }

    /// Checks the peer's last message, which is its proof or a rejection.
    fn check_proof(&self, transcript: &Transcript, side: Side, message: &[u8]) -> Result<(), HandshakeError> {
        match message.split_first() {
            Some((&PROOF, received)) if transcript.verify(&self.key, side, received) => Ok(()),
            Some((&PROOF, _)) => Err(HandshakeError::WrongClusterKey),
            Some((&REJECTION, reason)) => {
                let config = bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>();
                let (reason, _) = bincode::serde::decode_from_slice(reason, config)
                    .map_err(|_| HandshakeError::NotAHello)?;
                Err(HandshakeError::RejectedByPeer(reason))
            }
            _ => Err(HandshakeError::NotAHello),
        }
    }
}

/// How this node takes part in one handshake.
struct Params<'a> {
    side: Side,
    /// The node that a dialer wants to reach.
    expected: Option<NodeId>,
    /// Receives the id that the peer claims, so that it is known also when the handshake fails.
    claimed: &'a OnceLock<NodeId>,
}

/// Checks what a peer's hello claims, apart from the proof.
fn check_claims(
    ours: &MeshHello,
    theirs: &MeshHello,
    expected: Option<NodeId>,
    is_named: &impl Fn(&str) -> bool,
) -> Result<(), HandshakeError> {
    ours.check_protocol(theirs)?;
    if theirs.node == ours.node {
        return Err(HandshakeError::SameNode);
    }
    if expected.is_some_and(|expected| expected != theirs.node) {
        return Err(HandshakeError::OtherNode(theirs.node));
    }
    if !is_named(&theirs.name) {
        return Err(HandshakeError::OtherName(theirs.name.clone()));
    }
    Ok(())
}

/// Sends the reason of a rejection, where there is one that the peer can act on.
async fn reject<S: AsyncWrite + Unpin>(stream: &mut S, error: &HandshakeError) -> io::Result<()> {
    let reason = match error {
        HandshakeError::Protocol { .. } => RejectReason::Protocol,
        HandshakeError::WrongClusterKey => RejectReason::ClusterKey,
        HandshakeError::OtherName(_) => RejectReason::Name,
        HandshakeError::SameNode => RejectReason::SameNode,
        _ => return Ok(()),
    };
    let reason = bincode::serde::encode_to_vec(reason, bincode::config::standard())
        .expect("a rejection is a plain enum, which bincode encodes");
    write(stream, &tagged(REJECTION, &reason)).await
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

fn configure(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    let keepalive = TcpKeepalive::new().with_time(secs(3)).with_interval(secs(2)).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}
