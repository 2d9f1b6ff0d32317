//! The handshake of two nodes: its messages and its proofs. Pure; [`connect`](super::connect) runs it over a
//! connection.
//!
//! ```text
//!   dialer                                   listener
//!     │ ── hello (nonce, id, protocols) ───────▶ │   the listener trusts nothing yet
//!     │ ◀─────── hello (nonce, id, protocols) ── │
//!     │ ── proof "dialer"  ────────────────────▶ │   the dialer proves first
//!     │ ◀───────────────── proof "listener" ──── │   or a rejection with its reason
//! ```
//!
//! A proof is an HMAC-SHA256 under the cluster key. Its input is the sender's side, both hellos and, under
//! TLS, a value that only the two ends of this connection know. The side prevents that a proof is reflected
//! to its sender; the nonces of both hellos prevent a replay; the ids and names in the hellos cannot be
//! exchanged; the TLS value prevents that a proof is relayed over another connection. The key of the link is
//! derived from the same input. Proofs are compared in constant time. Every message is at most
//! [`MESSAGE_BYTES_MAX`] long.

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::{constant_time, hmac};
use serde::{Deserialize, Serialize};

use super::cluster_key::ClusterKey;
use crate::kernel::envelope::{LinkKey, PROTOCOL, PROTOCOL_MIN};
use crate::kernel::ids::NodeId;

/// Bytes of one handshake message. A connection that announces a longer one is closed before any of it is
/// read.
pub(super) const MESSAGE_BYTES_MAX: usize = 1_024;
/// Bytes of a proof.
pub(super) const PROOF_BYTES: usize = 32;
/// Bytes of a name or address in a hello.
const TEXT_BYTES_MAX: usize = 255;
const MAGIC: [u8; 8] = *b"FORGEMSH";

/// The first message of either side. Its claims are not trusted before the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MeshHello {
    magic: [u8; 8],
    /// The newest protocol that the node speaks.
    pub(super) protocol: u16,
    /// The oldest protocol that the node speaks.
    pub(super) protocol_min: u16,
    /// Random bytes that are used for one handshake only.
    pub(super) nonce: [u8; 32],
    /// The node's id.
    pub(super) node: NodeId,
    /// The node's name.
    pub(super) name: String,
    /// The address of the node's mesh listener.
    pub(super) address: String,
}

impl MeshHello {
    /// The hello of this node, with a new nonce.
    ///
    /// # Errors
    /// `NoRandomness` when the operating system returns no random bytes.
    pub(super) fn new(node: NodeId, name: &str, address: &str) -> Result<Self, HandshakeError> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| HandshakeError::NoRandomness)?;
        Ok(Self {
            magic: MAGIC,
            protocol: PROTOCOL,
            protocol_min: PROTOCOL_MIN,
            nonce,
            node,
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }

    /// The bytes of the hello on the wire.
    pub(super) fn encode(&self) -> Vec<u8> {
        bincode::serde::encode_to_vec(self, bincode::config::standard())
            .expect("a hello is a plain struct, which bincode encodes")
    }

    /// Decodes a peer's hello. Bytes behind it are ignored, because a later version may append fields.
    ///
    /// # Errors
    /// `NotAHello` for other bytes, and for names or addresses that are too long or hold control characters.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let config = bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>();
        let (hello, _): (Self, usize) =
            bincode::serde::decode_from_slice(bytes, config).map_err(|_| HandshakeError::NotAHello)?;
        let fits = |text: &str| text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
        if hello.magic != MAGIC || !fits(&hello.name) || !fits(&hello.address) {
            return Err(HandshakeError::NotAHello);
        }
        Ok(hello)
    }

    /// Checks that the protocol ranges of two nodes overlap.
    ///
    /// # Errors
    /// `Protocol` with both ranges when they do not.
    pub(super) fn check_protocol(&self, other: &Self) -> Result<(), HandshakeError> {
        if self.protocol_min <= other.protocol && other.protocol_min <= self.protocol {
            return Ok(());
        }
        Err(HandshakeError::Protocol {
            theirs: (other.protocol_min, other.protocol),
            ours: (self.protocol_min, self.protocol),
        })
    }
}

/// The side of a connection that a node is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The node opened the connection.
    Dialer,
    /// The node accepted the connection.
    Listener,
}

impl Side {
    /// The opposite side.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Dialer => b"forge mesh dialer",
            Self::Listener => b"forge mesh listener",
        }
    }
}

/// A digest of both hellos and of the connection that they were sent on.
pub(super) struct Transcript {
    digest: digest::Digest,
}

impl Transcript {
    /// `binding` names the TLS connection, and is empty without TLS.
    pub(super) fn new(dialer: &[u8], listener: &[u8], binding: &[u8]) -> Self {
        let mut context = digest::Context::new(&SHA256);
        for text in [dialer, listener, binding] {
            // With the lengths in front, no two inputs have the same bytes.
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text);
        }
        Self { digest: context.finish() }
    }

    /// The proof that `side` sends.
    pub(super) fn proof(&self, key: &ClusterKey, side: Side) -> [u8; PROOF_BYTES] {
        self.sign(key, side.label())
    }

    /// True when `received` is the proof that `side` must send.
    pub(super) fn verify(&self, key: &ClusterKey, side: Side, received: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.proof(key, side), received).is_ok()
    }

    /// The key of the link that the handshake makes.
    pub(super) fn link_key(&self, key: &ClusterKey) -> LinkKey {
        let signed = self.sign(key, b"forge mesh link");
        let (half, _) = signed.split_first_chunk::<16>().expect("a tag has 32 bytes");
        LinkKey(u128::from_be_bytes(*half))
    }

    fn sign(&self, key: &ClusterKey, label: &[u8]) -> [u8; PROOF_BYTES] {
        let mut context = hmac::Context::with_key(key.handshake());
        context.update(label);
        context.update(self.digest.as_ref());
        let tag = context.sign();
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }
}

/// Why a listener rejects a node, as the listener reports it to the node. The number of a variant is on the
/// wire, so variants are only ever appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum RejectReason {
    /// The protocol ranges do not overlap.
    #[error("the two nodes have no mesh protocol in common")]
    Protocol,
    /// The proof was made with another cluster key.
    #[error("this node has another secret: `cluster.secret`, or the `auth.secret` that replaces it, differs")]
    ClusterKey,
    /// The certificate does not name the node.
    #[error("this node's certificate does not contain its name")]
    Name,
    /// The node connected to itself.
    #[error("the address is this node's own")]
    SameNode,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes")]
    NoRandomness,
    /// The other side sent something else than a handshake message.
    #[error("the other side does not speak the mesh handshake")]
    NotAHello,
    /// A message is too long or truncated.
    #[error("a handshake message is longer than {MESSAGE_BYTES_MAX} bytes or truncated")]
    Oversized,
    /// The protocol ranges do not overlap.
    #[error("the peer speaks mesh protocol {}–{}, this node {}–{}", theirs.0, theirs.1, ours.0, ours.1)]
    Protocol {
        /// Oldest and newest protocol of the peer.
        theirs: (u16, u16),
        /// Oldest and newest protocol of this node.
        ours: (u16, u16),
    },
    /// The peer's proof was made with another cluster key.
    #[error("the peer has another secret: `cluster.secret`, or the `auth.secret` that replaces it, differs")]
    WrongClusterKey,
    /// The peer's certificate is for another name.
    #[error("the peer's certificate does not name `{0}`")]
    OtherName(String),
    /// Another node than the expected one listens at the address.
    #[error("another node listens at that address: {0}")]
    OtherNode(NodeId),
    /// The node connected to itself.
    #[error("the address is this node's own")]
    SameNode,
    /// The peer rejected this node.
    #[error("the peer rejected this node: {0}")]
    RejectedByPeer(RejectReason),
    /// The handshake did not finish within its deadline.
    #[error("the handshake timed out")]
    TimedOut,
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
}

impl HandshakeError {
    /// True when the handshake keeps failing until the configuration of a node changes. Errors that an
    /// outdated row in `forge_nodes` can cause are temporary.
    pub(super) const fn is_permanent(&self) -> bool {
        match self {
            Self::Protocol { .. } | Self::WrongClusterKey | Self::OtherName(_) => true,
            Self::RejectedByPeer(reason) => !matches!(reason, RejectReason::SameNode),
            Self::NoRandomness
            | Self::NotAHello
            | Self::Oversized
            | Self::OtherNode(_)
            | Self::SameNode
            | Self::TimedOut
            | Self::Io(_) => false,
        }
    }
}
