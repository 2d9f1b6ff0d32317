//! The cluster: which nodes there are, and the mesh between them.
//!
//! ```text
//!   cluster (one_for_one)
//!   ├ registry                  this node's row in `forge_nodes`, and the others'
//!   └ mesh (rest_for_one)
//!     ├ endpoint                owns the carrier of the links; hints and interest
//!     ├ links (dynamic)         one actor per connected peer
//!     ├ listener                takes connections; greets
//!     └ dialer                  makes connections to older nodes
//! ```
//!
//! ```text
//!   registry ──directory──▶ dialer ──greeting──▶ endpoint ──▶ link ◀──▶ link of the peer
//!                           listener ──greeting──▶ ┘
//! ```
//!
//! Invariants
//! - The mesh makes things faster and nothing right: hints may be lost, a call to another node may end
//!   without an answer, and with no mesh at all every promise holds.
//! - Nothing of a connection is believed before its greeting is complete, nothing is allocated for it beyond
//!   a kilobyte, and no other connection waits for it.
//! - What waits for a peer is bounded in number and bytes (`outbox`); what is dropped is counted, and the
//!   peer told to look at everything.
//! - Of two nodes one dials, so that there is one link between them; a second one replaces the first.
//! - A peer that is cut off or frozen is noticed within eight seconds, one that ended at once, and a healed
//!   cut within three.
//! - Times in rows are the database's; times of links are this process's own clock. They are never compared.
//!
//! Where an idea comes from: the roles of the greeting and its order follow Noise's habit of proving the
//! initiator first; the bounded, acknowledged window is TCP's, one layer up, because the carrier's own queues
//! have no bound.

mod calls;
pub mod config;
mod dialer;
mod endpoint;
mod gate;
mod greeting;
pub mod handshake;
mod link;
mod listener;
pub mod messages;
mod outbox;
mod plan;
pub mod port;
mod registry;
mod room;
pub mod signals;
pub mod store;
mod stream;
pub mod tls;
mod transport;

#[cfg(test)]
mod tests;
