//! The mesh's port: opened once, before anything is supervised, so that a port in use is told before anything
//! starts.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::config::ClusterConfig;

/// Where ports are taken from when the configuration names none: below the range of outgoing connections
/// (32768 and up on Linux), since one of those may hold the port when the node comes back.
const PORTS: std::ops::Range<u16> = 24_000..32_768;
/// Tries to find a free one.
const TRIES_MAX: u32 = 100;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The configured one.
    #[error("the mesh cannot listen on {address}; set another `cluster.port` or `cluster.host`")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// No free one was found.
    #[error("no free port between {} and {} was found for the mesh; set `cluster.port`", PORTS.start, PORTS.end - 1)]
    NoneFree,
}

/// The open port.
#[derive(Debug)]
pub struct MeshPort {
    address: SocketAddr,
    listener: std::net::TcpListener,
}

impl MeshPort {
    /// Opens it.
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
        // A node that comes back must not wait for the connections of its predecessor to be forgotten.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = std::net::TcpListener::from(socket);
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket for one life of the listener; the kernel queues who knocks between two.
    pub(super) fn accepting(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.listener.try_clone()?)
    }
}
