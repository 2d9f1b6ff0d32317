//! The secret that all nodes of a cluster share, in the forms in which it is used.

use aws_lc_rs::hmac;

use crate::kernel::secret::SecretText;

/// Authenticates the nodes of a cluster to each other.
#[derive(Clone)]
pub struct ClusterKey {
    handshake: hmac::Key,
    node_server: String,
}

impl ClusterKey {
    /// Derives the key from the configured `cluster.secret`.
    pub fn new(secret: &SecretText) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let handshake = hmac::sign(&root, b"forge mesh greeting");
        Self {
            handshake: hmac::Key::new(hmac::HMAC_SHA256, handshake.as_ref()),
            node_server: hex(&hmac::sign(&root, b"forge mesh inner")),
        }
    }

    /// Derives the key of a cluster without a `cluster.secret` from `auth.secret`, which all of its nodes
    /// share as well.
    pub fn derived_from(auth_secret: &SecretText) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, auth_secret.expose().as_bytes());
        Self::new(&SecretText::new(hex(&hmac::sign(&root, b"forge cluster secret"))))
    }

    /// The key of the handshake's proofs.
    pub(super) fn handshake(&self) -> &hmac::Key {
        &self.handshake
    }

    /// The secret for ractor_cluster's node server, which authenticates every connection once more.
    pub(super) fn node_server(&self) -> &str {
        &self.node_server
    }
}

fn hex(tag: &hmac::Tag) -> String {
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
