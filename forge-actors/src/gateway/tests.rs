//! Tests over real sockets: a gateway on a free port, a client that sends bytes.

mod answers;
mod calls;
mod drain;
mod files;
mod heads;
mod identity;
mod limits;
mod node;
mod origins;
mod proxies;
