//! Mutual TLS 1.3 between nodes, with certificates from files.
//!
//! Both sides present a certificate that the cluster's own authority has signed. The dialer verifies that the
//! listener's certificate contains the name in the listener's row; the listener verifies that the dialer's
//! certificate contains the name in the dialer's hello. A node therefore cannot act under another node's
//! name.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, ConnectionCommon, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::kernel::diagnose::{Diagnose, FailureKind};

use super::config::TlsFiles;

/// Label of the exported keying material (RFC 5705): a value that only the two ends of one connection know.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-forge-mesh";
/// Bytes of the exported value.
pub const BINDING_BYTES: usize = 32;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or contains no PEM of the expected kind.
    #[error("{} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        source: rustls::pki_types::pem::Error,
    },
    /// A file contains no certificate.
    #[error("{} contains no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Certificate, key and authority do not belong together.
    #[error("the certificate, the key and the authority of the mesh do not belong together")]
    Rejected(#[from] rustls::Error),
    /// The authority's certificates cannot verify other nodes.
    #[error("the certificates of the mesh's authority cannot be used")]
    Authority(#[from] rustls::server::VerifierBuilderError),
    /// The node's name is not a valid DNS name.
    #[error("`{0}` is not a DNS name, so no certificate can contain it")]
    Name(String),
    /// The node's certificate does not contain its name.
    #[error("the certificate {} does not name this node, `{name}`", path.display())]
    OtherName {
        /// The certificate file.
        path: PathBuf,
        /// The node's name.
        name: String,
    },
}

impl Diagnose for TlsError {
    fn code(&self) -> &'static str {
        "mesh-tls"
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Config
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        let help = "each node needs a certificate for its node.name, for both client and server, signed by \
                    cluster.tls_authority";
        Some(help.into())
    }
}

/// The TLS configuration of this node, for the connections that it accepts and those that it opens.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl Tls {
    /// Reads the files of the node called `name`.
    ///
    /// # Errors
    /// When a file cannot be used, or when the certificate does not contain `name`.
    pub fn load(files: TlsFiles<'_>, name: &str) -> Result<Self, TlsError> {
        let chain = certificates(files.certificate)?;
        verify_name(&chain, name)
            .map_err(|_| TlsError::OtherName { path: files.certificate.to_owned(), name: name.to_owned() })?;
        let key = || {
            PrivateKeyDer::from_pem_file(files.key)
                .map_err(|source| TlsError::File { path: files.key.to_owned(), source })
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(files.authority)? {
            roots.add(certificate)?;
        }
        let roots = Arc::new(roots);
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.to_vec(), key()?)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key()?)?;
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into() })
    }

    /// Runs the TLS handshake on a connection that was accepted.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(socket).await.map(TlsStream::from)
    }

    /// Runs the TLS handshake on a connection that was opened. The peer's certificate must contain `name`.
    pub(super) async fn connect(&self, socket: TcpStream, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let name = server_name(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.connector.connect(name, socket).await.map(TlsStream::from)
    }
}

/// A value that only the two ends of this connection know; it binds the mesh handshake to the connection.
pub(super) fn binding(stream: &TlsStream<TcpStream>) -> io::Result<[u8; BINDING_BYTES]> {
    fn export<Side>(connection: &ConnectionCommon<Side>) -> Result<[u8; BINDING_BYTES], rustls::Error> {
        connection.export_keying_material([0; BINDING_BYTES], EXPORTER_LABEL, None)
    }
    let exported = match stream {
        TlsStream::Client(stream) => export(stream.get_ref().1),
        TlsStream::Server(stream) => export(stream.get_ref().1),
    };
    exported.map_err(io::Error::other)
}

/// The names in the peer's certificate.
pub(super) struct CertificateNames(Vec<CertificateDer<'static>>);

impl CertificateNames {
    pub(super) fn of_peer(stream: &TlsStream<TcpStream>) -> Self {
        let (_, connection) = stream.get_ref();
        Self(connection.peer_certificates().map(<[_]>::to_vec).unwrap_or_default())
    }

    /// True when the certificate contains `name`.
    pub(super) fn include(&self, name: &str) -> bool {
        verify_name(&self.0, name).is_ok()
    }
}

fn verify_name(chain: &[CertificateDer<'_>], name: &str) -> Result<(), TlsError> {
    let wrong = || TlsError::Name(name.to_owned());
    let wanted = server_name(name).map_err(|_| wrong())?;
    let leaf = ParsedCertificate::try_from(chain.first().ok_or_else(wrong)?)?;
    Ok(verify_server_name(&leaf, &wanted)?)
}

fn server_name(name: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    ServerName::try_from(name.to_owned())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::File { path: path.to_owned(), source };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(found) }
}
