//! Section `[cluster]` of the configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::secret::SecretText;
use crate::kernel::time::{format_duration, secs, serde_duration};
use crate::subsystem::ConfigSection;

/// The least number of bytes of `cluster.secret`. A shorter secret could be guessed from a recorded
/// handshake.
pub const SECRET_BYTES_MIN: usize = 32;
/// Heartbeats that a node misses before it is declared dead, at the least. One slow statement is not enough.
const MISSED_HEARTBEATS_MIN: u32 = 3;

/// How the nodes of a cluster find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// The nodes find each other by their rows in `forge_nodes`.
    Postgres,
    /// The node has no mesh; changes of other nodes arrive by polling.
    None,
}

/// How a node takes part in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// How nodes find each other. `none` turns the mesh off: the node opens no mesh port and dials no peer.
    pub discovery: Discovery,
    /// Address that the mesh listens on. With `127.0.0.1` only nodes on the same machine can connect.
    pub host: IpAddr,
    /// Port that the mesh listens on. 0 takes a free port between 24000 and 32767, which is below the range
    /// of outgoing connections.
    pub port: u16,
    /// `host` or `host:port` under which other nodes reach this node. When absent, the address that the mesh
    /// listens on.
    pub advertise: Option<String>,
    /// Secret that all nodes of the cluster share, at least 32 bytes. When absent, it is derived from
    /// `auth.secret`.
    pub secret: Option<SecretText>,
    /// Certificate chain (PEM) of this node; its DNS names include `node.name`. When set, every mesh
    /// connection uses mutual TLS 1.3.
    pub tls_certificate: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    pub tls_key: Option<PathBuf>,
    /// Certificates (PEM) of the authority that signs the certificates of all nodes.
    pub tls_authority: Option<PathBuf>,
    /// Interval of the heartbeats in the database.
    #[serde(with = "serde_duration")]
    pub heartbeat: Duration,
    /// A node that has sent no heartbeat for this long is declared dead by another node.
    #[serde(with = "serde_duration")]
    pub dead_after: Duration,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            discovery: Discovery::Postgres,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            advertise: None,
            secret: None,
            tls_certificate: None,
            tls_key: None,
            tls_authority: None,
            heartbeat: secs(2),
            dead_after: secs(10),
        }
    }
}

impl ConfigSection for ClusterConfig {
    const NAME: &'static str = "cluster";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.heartbeat.is_zero() || self.dead_after < self.heartbeat * MISSED_HEARTBEATS_MIN {
            broken.push(format!(
                "cluster.dead_after ({}) is less than three times cluster.heartbeat ({})",
                format_duration(self.dead_after),
                format_duration(self.heartbeat)
            ));
        }
        if self.host.is_unspecified() && self.advertise.is_none() && self.discovery != Discovery::None {
            broken.push(format!(
                "cluster.host is {}, so cluster.advertise must name an address that other nodes can dial",
                self.host
            ));
        }
        if self.secret.as_ref().is_some_and(|secret| secret.expose().len() < SECRET_BYTES_MIN) {
            broken.push(format!("cluster.secret is shorter than {SECRET_BYTES_MIN} bytes"));
        }
        let files = [&self.tls_certificate, &self.tls_key, &self.tls_authority];
        if files.iter().any(|file| file.is_some()) && self.tls().is_none() {
            broken.push(
                "cluster.tls_certificate, cluster.tls_key and cluster.tls_authority are set together \
                 or not at all"
                    .to_owned(),
            );
        }
        broken
    }
}

/// The files of mutual TLS.
#[derive(Debug, Clone, Copy)]
pub struct TlsFiles<'a> {
    /// Certificate chain of the node.
    pub certificate: &'a PathBuf,
    /// Private key of the certificate.
    pub key: &'a PathBuf,
    /// Certificates of the signing authority.
    pub authority: &'a PathBuf,
}

impl ClusterConfig {
    /// The rule between this section and the name of the node; a sentence when it is broken.
    pub fn validate_name(&self, node_name: Option<&str>) -> Option<String> {
        let unnamed = self.tls().is_some() && node_name.is_none();
        unnamed.then(|| {
            "cluster.tls_certificate is set, so node.name must be the name in that certificate".to_owned()
        })
    }

    /// The files of mutual TLS, when it is wanted.
    pub fn tls(&self) -> Option<TlsFiles<'_>> {
        Some(TlsFiles {
            certificate: self.tls_certificate.as_ref()?,
            key: self.tls_key.as_ref()?,
            authority: self.tls_authority.as_ref()?,
        })
    }

    /// The mesh address that other nodes dial when the mesh listens on `bound`.
    pub fn advertised(&self, bound: SocketAddr) -> String {
        match &self.advertise {
            None => bound.to_string(),
            Some(whole) if has_port(whole) => whole.to_owned(),
            Some(host) => match host.parse::<IpAddr>() {
                Ok(ip) => SocketAddr::new(ip, bound.port()).to_string(),
                Err(_) => format!("{host}:{}", bound.port()),
            },
        }
    }
}

impl ClusterConfig {
    /// The HTTP address under which other nodes reach a gateway that listens on `bound`. An unspecified
    /// address such as `0.0.0.0` cannot be dialled, so the advertised host replaces it.
    pub fn http_address(&self, bound: SocketAddr) -> String {
        let host = self.advertise.as_deref().filter(|_| bound.ip().is_unspecified());
        match host.map(|advertised| {
            if has_port(advertised) {
                advertised.rsplit_once(':').map_or(advertised, |(host, _)| host)
            } else {
                advertised
            }
        }) {
            None => bound.to_string(),
            Some(host) if host.contains(':') && !host.starts_with('[') => {
                format!("[{host}]:{}", bound.port())
            }
            Some(host) => format!("{host}:{}", bound.port()),
        }
    }
}

fn has_port(address: &str) -> bool {
    let is_name_and_port = || {
        address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok())
    };
    address.parse::<SocketAddr>().is_ok() || (address.parse::<IpAddr>().is_err() && is_name_and_port())
}
