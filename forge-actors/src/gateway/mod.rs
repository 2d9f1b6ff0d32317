//! HTTP border of a node: the port, its connections, and the way from a request to a call and back.
//!
//! ```text
//! port ─▶ accept loop ─▶ connection ─▶ route ─▶ token ─▶ body ─▶ Border::call ─▶ envelope
//!                                       └─▶ /ws ─▶ upgrade ─▶ a session owns the socket
//! ```
//! Invariants: every wait on a client has a limit (`pulse`, `body`), and so has everything a client may make
//! the node keep (`config`). A client reads a fault's code, sentence and details, never its cause; the cause
//! is in the log under the trace id that the client was told. A token counts only in the `Authorization`
//! header. An answer 2xx to a mutation means that it committed.
//!
//! Failure: what goes wrong with a request is its answer; with a connection, the end of that connection; with
//! the accept loop, a restart of the listener, while the port stays open.

pub mod actor;
pub mod assets;
pub mod auth;
mod batch;
mod body;
mod border;
pub mod config;
mod connection;
mod cors;
pub mod database_check;
mod envelope;
mod exchange;
mod pulse;
pub mod readiness;
pub mod routes;
mod rpc;
pub mod server;
pub mod signals;
pub mod subsystem_check;
mod upgrade;

#[cfg(test)]
mod tests;
