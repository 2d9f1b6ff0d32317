//! The port of a node. It is opened before anything is supervised, and stays open while the listener crashes
//! and restarts: the kernel queues the connections that arrive meanwhile, and none is refused. Only a drain
//! closes it.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::config::GatewayConfig;
use crate::kernel::diagnose::{Diagnose, FailureKind};

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum HttpPortError {
    /// Another process listens on the address.
    #[error("{address} is in use by another process; stop that one, or set another `gateway.port`")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system does not let this user open the port.
    #[error(
        "{address} may not be opened by this user; ports below 1024 need a privilege, \
         set another `gateway.port`"
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
    },
    /// The address belongs to another machine.
    #[error(
        "{address} is no address of this machine; set `gateway.host` to one, or to 0.0.0.0 for all of them"
    )]
    NotLocal {
        /// The address.
        address: SocketAddr,
    },
    /// Any other error of the operating system.
    #[error("{address} cannot be opened")]
    Io {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Diagnose for HttpPortError {
    fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "port-in-use",
            Self::NotPermitted { .. } => "port-not-permitted",
            Self::NotLocal { .. } => "host-not-local",
            Self::Io { .. } => "port",
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Failed
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        Some("choose another one with --port or --host".into())
    }
}

impl HttpPortError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { address },
            _ => Self::Io { address, source },
        }
    }
}

/// The listening socket of a node. It may be closed, and is then opened again by
/// [`listener`](Self::listener).
pub struct Port {
    address: SocketAddr,
    open: ArcSwapOption<std::net::TcpListener>,
    /// Cancelled when the listener of the node has the port for the first time.
    taken: CancellationToken,
}

impl Port {
    /// Opens the port that `config` names. For port 0 the operating system chooses one, which
    /// [`address`](Self::address) then names.
    ///
    /// # Errors
    /// The address is in use, not permitted, or not of this machine.
    pub fn open(config: &GatewayConfig) -> Result<Self, HttpPortError> {
        let listener = listen(config.address())?;
        let address = listener.local_addr().map_err(|error| HttpPortError::new(config.address(), error))?;
        Ok(Self { address, open: ArcSwapOption::from_pointee(listener), taken: CancellationToken::new() })
    }

    /// The address on which the port listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle to accept connections from, on the current runtime. Opens the port again when it was closed.
    ///
    /// # Errors
    /// The port was closed, and cannot be opened again.
    pub fn listener(&self) -> Result<TcpListener, HttpPortError> {
        self.taken.cancel();
        self.handle()
    }

    /// A handle to accept connections from before the node has its [`listener`](Self::listener).
    pub(super) fn starting_listener(&self) -> Result<TcpListener, HttpPortError> {
        self.handle()
    }

    /// Waits until the node has its [`listener`](Self::listener).
    pub(super) async fn taken(&self) {
        self.taken.cancelled().await;
    }

    fn handle(&self) -> Result<TcpListener, HttpPortError> {
        let error = |source| HttpPortError::new(self.address, source);
        let open = match self.open.load_full() {
            Some(open) => open,
            None => {
                let open = Arc::new(listen(self.address)?);
                self.open.store(Some(Arc::clone(&open)));
                open
            }
        };
        TcpListener::from_std(open.try_clone().map_err(error)?).map_err(error)
    }

    /// Closes the port. Connections are refused as soon as the last handle of [`listener`](Self::listener) is
    /// dropped as well.
    pub fn close(&self) {
        self.open.store(None);
    }
}

/// The standard library sets SO_REUSEADDR, so a restart does not wait for old connections to leave TIME_WAIT.
fn listen(address: SocketAddr) -> Result<std::net::TcpListener, HttpPortError> {
    let listener =
        std::net::TcpListener::bind(address).map_err(|error| HttpPortError::new(address, error))?;
    listener.set_nonblocking(true).map_err(|error| HttpPortError::new(address, error))?;
    Ok(listener)
}
