//! The reactor's public face.

use std::sync::Arc;

use bytes::Bytes;

use crate::kernel::commit::Receipt;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::{Caller, Invocation};

/// One subscription of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u32);
/// One mutation of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MutationId(pub u32);
/// One snapshot of the database, counted by the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);
/// A result's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// What a query answered.
#[derive(Debug)]
pub struct QueryResult {
    /// Its hash.
    pub version: Version,
    /// The body.
    pub outcome: Result<Bytes, Fault>,
}

/// A subscription has a new result.
#[derive(Debug)]
pub struct Modification {
    /// Which.
    pub subscription: SubscriptionId,
    /// What.
    pub result: Arc<QueryResult>,
}

/// What the reactor tells a client.
#[derive(Debug)]
pub enum Delivery {
    /// All subscriptions moved to this tick.
    Advanced {
        /// Which.
        tick: Tick,
        /// What changed.
        mods: Vec<Modification>,
        /// Mutations whose writes are part of it.
        applied: Vec<MutationId>,
    },
    /// The reactor restarted.
    Reset,
}

/// Who is told.
pub trait Sink: Send + Sync + 'static {
    /// Must not block.
    fn deliver(&self, delivery: Delivery);
}

/// The reactor.
#[derive(Clone)]
pub struct Reactor;

/// A client of the reactor.
pub struct Client;

impl Reactor {
    /// A client that is told through `sink`.
    pub fn attach(&self, _sink: Arc<dyn Sink>) -> Client {
        Client
    }
}

impl Client {
    /// Subscribes.
    pub fn subscribe(&self, _id: SubscriptionId, _invocation: Invocation, _version: Option<Version>) -> Result<(), Fault> {
        Ok(())
    }
    /// Ends it.
    pub fn unsubscribe(&self, _id: SubscriptionId) {}
    /// Waits.
    pub fn await_commit(&self, _mutation: MutationId, _receipt: &Receipt) {}
    /// Another caller.
    pub fn identify(&self, _caller: Caller) {}
}
