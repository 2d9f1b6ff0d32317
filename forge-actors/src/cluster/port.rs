//! The port of the mesh listener. It is opened before the supervision tree starts, so that a port in use
//! fails the start of the node with a clear message.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::kernel::diagnose::{Diagnose, FailureKind};

use super::config::ClusterConfig;

/// The ports to choose from when the configuration names none. They lie below the range of outgoing
/// connections (32768 and up on Linux), because such a connection could occupy the port while the node
/// restarts.
const PORTS: std::ops::Range<u16> = 24_000..32_768;
/// Random ports that are tried before the search fails.
const TRIES_MAX: u32 = 100;
/// Connections that the kernel queues before they are accepted.
const BACKLOG: i32 = 1_024;

/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The configured port, or the configured host, cannot be used.
    #[error("the mesh cannot listen on {address}; set another `cluster.port` or `cluster.host`")]
    Refused {
        /// The address that was tried.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// None of the random ports was free.
    #[error(
        "no free port between {} and {} was found for the mesh; set `cluster.port`",
        PORTS.start,
        PORTS.end - 1
    )]
    NoneFree,
}

impl Diagnose for PortError {
    fn code(&self) -> &'static str {
        "mesh-port"
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Failed
    }
}

/// The open port of the mesh listener.
#[derive(Debug)]
pub struct MeshPort {
    address: SocketAddr,
    listener: std::net::TcpListener,
}

impl MeshPort {
    /// Opens the configured port, or a free one when the configured port is 0.
    ///
    /// # Errors
    /// `Refused` when the operating system refuses the address, `NoneFree` when no port was free.
    pub fn open(config: &ClusterConfig) -> Result<Self, PortError> {
        if config.port != 0 {
            let address = SocketAddr::new(config.host, config.port);
            return Self::listen(address).map_err(|source| PortError::Refused { address, source });
        }
        for _ in 0..TRIES_MAX {
            let address = SocketAddr::new(config.host, fastrand::u16(PORTS));
            match Self::listen(address) {
                Ok(port) => return Ok(port),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(PortError::Refused { address, source }),
            }
        }
        Err(PortError::NoneFree)
    }

    fn listen(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Without this option a restarted node could not bind while connections of its predecessor are in
        // TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = std::net::TcpListener::from(socket);
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// The address that the port is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A socket for one run of the listener. While the listener restarts, the kernel queues new connections.
    pub(super) fn accepting(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.listener.try_clone()?)
    }
}
