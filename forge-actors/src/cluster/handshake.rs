//! The greeting of two nodes: what is said, what is proved; pure.
//!
//! ```text
//!   dialer                                   listener
//!     │ ── hello (nonce, id, protocols) ───────▶ │   nothing is believed yet
//!     │ ◀─────── hello (nonce, id, protocols) ── │   or refusal: no common protocol
//!     │ ── proof "dialer"  ────────────────────▶ │   who knocks proves first
//!     │ ◀───────────────── proof "listener" ──── │   or refusal: wrong secret
//! ```
//!
//! A proof is HMAC-SHA256, keyed by the cluster's secret, over the role, both hellos and, under TLS, a value
//! that only the ends of this connection know. Roles keep a proof from being sent back to its maker; fresh
//! nonces of both sides keep it from being used again; the hellos inside keep ids and names from being
//! exchanged; the binding keeps it from being passed on. The key of the link comes from the same input.
//! Comparison takes constant time. Every message is at most [`MESSAGE_BYTES_MAX`] long.

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::{constant_time, hmac};
use serde::{Deserialize, Serialize};

use crate::kernel::envelope::{LinkKey, PROTOCOL, PROTOCOL_MIN};
use crate::kernel::ids::NodeId;
use crate::kernel::secret::Secret;

/// Bytes of one message of the greeting; whoever announces more is cut off before anything is read.
pub const MESSAGE_BYTES_MAX: usize = 1_024;
/// Bytes of a name or address in a hello.
const TEXT_BYTES_MAX: usize = 255;
const MAGIC: [u8; 8] = *b"FORGEMSH";
/// Bytes of a proof.
pub const PROOF_BYTES: usize = 32;

/// Who a node says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    magic: [u8; 8],
    /// The newest protocol it speaks.
    pub protocol: u16,
    /// The oldest one.
    pub protocol_min: u16,
    /// Never used before.
    pub nonce: [u8; 32],
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where its mesh listens.
    pub address: String,
}

impl Hello {
    /// The hello of this node, with a new nonce.
    pub fn new(node: NodeId, name: &str, address: &str) -> Result<Self, HandshakeError> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| HandshakeError::NoRandomness)?;
        let (name, address) = (name.to_owned(), address.to_owned());
        Ok(Self { magic: MAGIC, protocol: PROTOCOL, protocol_min: PROTOCOL_MIN, nonce, node, name, address })
    }

    /// As it is sent.
    pub fn encode(&self) -> Vec<u8> {
        bincode::serde::encode_to_vec(self, bincode::config::standard())
            .expect("a hello is a plain struct, which bincode writes")
    }

    /// Reads what somebody sent. Bytes behind it are left to later versions.
    pub fn decode(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let config = bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>();
        let (hello, _): (Self, usize) =
            bincode::serde::decode_from_slice(bytes, config).map_err(|_| HandshakeError::NoHello)?;
        let fits = |text: &str| text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
        if hello.magic != MAGIC || !fits(&hello.name) || !fits(&hello.address) {
            return Err(HandshakeError::NoHello);
        }
        Ok(hello)
    }

    /// Two nodes can talk when the ranges of their protocols meet.
    pub fn agree(&self, other: &Self) -> Result<(), HandshakeError> {
        if self.protocol_min <= other.protocol && other.protocol_min <= self.protocol {
            return Ok(());
        }
        Err(HandshakeError::Protocol {
            theirs: (other.protocol_min, other.protocol),
            ours: (self.protocol_min, self.protocol),
        })
    }
}

/// Which side of a connection a node is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It opened the connection.
    Dialer,
    /// It accepted it.
    Listener,
}

impl Side {
    /// The other one.
    pub const fn other(self) -> Self {
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

/// What the nodes of a cluster share.
#[derive(Clone)]
pub struct Cookie {
    key: hmac::Key,
    /// For the crate that carries the links, which asks for one as well.
    pub(super) inner: String,
}

impl Cookie {
    /// Of the cluster's secret.
    pub fn new(secret: &Secret) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"forge mesh greeting").as_ref());
        let inner = hmac::sign(&root, b"forge mesh inner")
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { key, inner }
    }

    /// The secret of a cluster that was given none: made from the one that signs its tokens, which all nodes
    /// share as well.
    pub fn derived_from(auth_secret: &Secret) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, auth_secret.expose().as_bytes());
        let text: String = hmac::sign(&root, b"forge cluster secret")
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self::new(&Secret::new(text))
    }
}

/// Both hellos and the connection they were said on.
pub struct Transcript {
    digest: digest::Digest,
}

impl Transcript {
    /// `binding` is empty without TLS.
    pub fn new(dialer: &[u8], listener: &[u8], binding: &[u8]) -> Self {
        let mut context = digest::Context::new(&SHA256);
        for text in [dialer, listener, binding] {
            // Lengths first: no two transcripts may be the same bytes.
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text);
        }
        Self { digest: context.finish() }
    }

    /// What `side` shows.
    pub fn proof(&self, cookie: &Cookie, side: Side) -> [u8; PROOF_BYTES] {
        self.sign(cookie, side.label())
    }

    /// True when `shown` is what `side` must show.
    pub fn proves(&self, cookie: &Cookie, side: Side, shown: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.proof(cookie, side), shown).is_ok()
    }

    /// The key of the link.
    pub fn link(&self, cookie: &Cookie) -> LinkKey {
        let signed = self.sign(cookie, b"forge mesh link");
        let (half, _) = signed.split_first_chunk::<16>().expect("a tag has 32 bytes");
        LinkKey(u128::from_be_bytes(*half))
    }

    fn sign(&self, cookie: &Cookie, label: &[u8]) -> [u8; PROOF_BYTES] {
        let mut context = hmac::Context::with_key(&cookie.key);
        context.update(label);
        context.update(self.digest.as_ref());
        let tag = context.sign();
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }
}

/// Why a listener sends somebody away, as it tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No common protocol.
    #[error("there is no protocol that both speak")]
    Protocol,
    /// The proof is wrong.
    #[error("this node has another secret: `cluster.secret`, or `auth.secret` that it is made from, differ")]
    Secret,
    /// The certificate does not name the node.
    #[error("this node's certificate does not bear its name")]
    Name,
    /// It is the node itself.
    #[error("it is this node itself")]
    Oneself,
}

/// Why two nodes did not come together.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// Something else than a hello.
    #[error("what came is no greeting of a node")]
    NoHello,
    /// A message that is too long or cut off.
    #[error("the greeting is longer than {MESSAGE_BYTES_MAX} bytes or cut off")]
    Oversized,
    /// No common protocol.
    #[error("it speaks protocol {}–{}, this node {}–{}", theirs.0, theirs.1, ours.0, ours.1)]
    Protocol {
        /// Oldest and newest of the other side.
        theirs: (u16, u16),
        /// Oldest and newest of this one.
        ours: (u16, u16),
    },
    /// The other side does not know the secret.
    #[error("it has another secret: `cluster.secret`, or `auth.secret` that it is made from, differ")]
    WrongSecret,
    /// The certificate is of another name.
    #[error("its certificate does not name `{0}`")]
    OtherName(String),
    /// Another node than expected answers at that address.
    #[error("another node answers there: {0}")]
    OtherNode(NodeId),
    /// The node reached itself.
    #[error("the address leads back to this node")]
    Oneself,
    /// The other side refused.
    #[error("it refused this node: {0}")]
    Refused(Refusal),
    /// Too slow.
    #[error("the greeting took too long")]
    TooSlow,
    /// The connection broke.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
}

impl HandshakeError {
    /// Trying again does not help before somebody changes a configuration. What may come of rows of nodes
    /// that have ended is not among it.
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::Protocol { .. } | Self::WrongSecret | Self::OtherName(_) => true,
            Self::Refused(refusal) => !matches!(refusal, Refusal::Oneself),
            Self::NoRandomness
            | Self::NoHello
            | Self::Oversized
            | Self::OtherNode(_)
            | Self::Oneself
            | Self::TooSlow
            | Self::Io(_) => false,
        }
    }
}
