//! What the tests stand on; [`crate`] re-exports the public face.

pub(crate) mod client;
pub(crate) mod cpu;
pub(crate) mod database;
pub(crate) mod http2;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod until;
