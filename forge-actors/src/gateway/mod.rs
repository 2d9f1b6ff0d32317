//! The gateway: the HTTP server of a node, and the way from a request to a function call and back.
//!
//! ```text
//! port ─▶ accept loop ─▶ connection ─▶ router ─▶ token ─▶ body ─▶ Functions::call ─▶ envelope
//!                                       └─▶ /ws ─▶ upgrade ─▶ a session owns the socket
//! ```
//! Invariants
//! - Every wait for a client has a time limit (`activity`, `body`), and so has everything that a client can
//!   make the node keep in memory (`config`): bodies that arrive come from one budget (`body`), responses
//!   that wait for their clients from another (`kernel::byte_budget`), of which one address has a part.
//! - A response that its client does not take ends, whatever else the client does on its connection
//!   (`response_delivery`, `http2_streams`).
//! - A client is sent a fault's code, message and details; its cause only in development. The cause is logged
//!   under the trace id that the client was sent.
//! - A token is accepted in the header `Authorization` only.
//! - A request that can change something is not taken from a page of an origin that is not listed.
//! - A 2xx response to a mutation means that the mutation is committed.
//!
//! Failure: an error of a request is its response; an error of a connection ends that connection; an error of
//! the accept loop restarts the listener, while the port stays open.

use std::sync::Arc;

use crate::supervise::ChildSpec;

mod accept;
mod activity;
pub mod assets;
pub mod auth;
mod batch;
mod body;
mod byte_range;
pub mod config;
mod connection;
mod connection_table;
mod cors;
mod envelope;
mod etag;
mod head;
mod headers;
mod hosts;
mod http2_streams;
mod listener;
mod monitored_stream;
mod open_file;
mod origin;
pub mod paths;
pub mod port;
mod proxies;
mod request_context;
mod response;
mod response_body;
mod response_delivery;
mod router;
mod rpc;
mod shared;
pub mod signals;
pub mod starting;
pub mod subsystem;
mod upgrade;
mod write_allowance;

#[cfg(test)]
mod tests;

use config::GatewayConfig;
use port::Port;
pub use shared::GatewayDeps;
use shared::GatewayShared;

/// The HTTP server of a node. Clones share the same server.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<GatewayShared>,
}

impl Gateway {
    /// A gateway that is not listening yet. `config` must have passed its `validate`.
    pub fn new(config: GatewayConfig, deps: GatewayDeps) -> Self {
        Self { shared: Arc::new(GatewayShared::new(config, deps)) }
    }

    /// Declares the actor that serves the gateway on `port`. A stop of the actor drains the connections.
    pub fn listener(&self, port: Arc<Port>) -> ChildSpec {
        listener::spec(Arc::clone(&self.shared), port)
    }
}
