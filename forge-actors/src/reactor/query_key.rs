//! What makes two subscriptions equal: the query, and as much of the caller as its runs have read.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::app::context::Observed;
use crate::kernel::connection_limiter::client_network;
use crate::kernel::invocation::{Caller, Invocation};

use super::delivery::SubscriptionId;
use super::share_key::ShareKey;

/// The number of a client of this node's reactor. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClientId(pub(super) u64);

/// The number of a group. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupId(pub(super) u64);

/// The number of a batch of runs in a lane. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BatchId(pub(super) u64);

/// Identifies a subscription among those of all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SubscriptionKey {
    pub(super) client: ClientId,
    pub(super) id: SubscriptionId,
}

/// The keys of all subscriptions that a client can have.
pub(super) fn keys_of(client: ClientId) -> RangeInclusive<SubscriptionKey> {
    let key = |id| SubscriptionKey { client, id: SubscriptionId(id) };
    key(u32::MIN)..=key(u32::MAX)
}

/// A handler and its arguments. Subscriptions with equal keys may share runs.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct QueryKey {
    pub(super) name: Arc<str>,
    /// In a form in which equal arguments are equal bytes.
    pub(super) args: Bytes,
    /// The interval at which the handler asks to be run again; the same for all queries of one handler.
    pub(super) refresh: Option<Duration>,
}

impl QueryKey {
    /// The call that runs the query for `caller`.
    pub(super) fn invocation(&self, caller: &CallerKey) -> Invocation {
        let caller = Caller::clone(&caller.caller);
        Invocation::new(Arc::clone(&self.name), Bytes::clone(&self.args), caller)
    }
}

/// A caller, and the parts of the caller that a run may read.
#[derive(Debug, PartialEq)]
pub(super) struct CallerKey {
    pub(super) caller: Caller,
    /// The whole identity with all its claims as JSON. `None` for an anonymous caller.
    identity: Option<Arc<str>>,
    /// Whose share of the lanes and of the memory the caller's queries take.
    pub(super) share_key: Arc<ShareKey>,
}

/// The callers who may share the result of a run, as far as the runs of the query have shown by now.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum SharingScope {
    /// No run has read who called.
    Everyone,
    /// Runs read the identity.
    Identity(Option<Arc<str>>),
    /// Runs read the address or the user agent.
    Connection { identity: Option<Arc<str>>, ip: Option<IpAddr>, user_agent: Option<String> },
}

impl CallerKey {
    pub(super) fn new(caller: Caller) -> Self {
        let json = |identity| serde_json::to_string(identity).expect("an identity is strings and JSON");
        let share_key = match &caller.identity {
            Some(identity) => ShareKey::Subject(String::from(&identity.subject)),
            None => ShareKey::Address(caller.ip.map(client_network)),
        };
        let identity = caller.identity.as_deref().map(|identity| json(identity).into());
        Self { caller, identity, share_key: Arc::new(share_key) }
    }

    /// The scope of this caller in a query whose runs have read `observed`.
    pub(super) fn scope(&self, observed: Observed) -> SharingScope {
        let identity = || self.identity.as_ref().map(Arc::clone);
        match observed {
            Observed::Nothing => SharingScope::Everyone,
            Observed::Identity => SharingScope::Identity(identity()),
            Observed::Connection => {
                let user_agent = self.caller.user_agent.as_deref().map(str::to_owned);
                SharingScope::Connection { identity: identity(), ip: self.caller.ip, user_agent }
            }
        }
    }
}
