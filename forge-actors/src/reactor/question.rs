//! What makes two subscriptions equal: the question, and as much of the caller as its runs have asked for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::app::context::Observed;
use crate::kernel::invocation::{Caller, Invocation};

use super::messages::SubscriptionId;

/// Names a client of this node's reactor; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClientId(pub(super) u64);

/// Names a group; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupId(pub(super) u64);

/// A subscription among those of all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) client: ClientId,
    pub(super) id: SubscriptionId,
}

/// A handler and its arguments, in a form in which equal ones are equal bytes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) name: Arc<str>,
    pub(super) args: Bytes,
}

/// What a subscription asks, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) question: Arc<Question>,
    /// As the client wrote them.
    pub(super) args: Bytes,
    pub(super) refresh: Option<Duration>,
    pub(super) persona: Arc<Persona>,
}

impl Live {
    /// The call that answers it.
    pub(super) fn invocation(&self) -> Invocation {
        Invocation::new(
            Arc::clone(&self.question.name),
            Bytes::clone(&self.args),
            Caller::clone(&self.persona.caller),
        )
    }
}

/// A caller, with what tells it from others.
#[derive(Debug, PartialEq)]
pub(super) struct Persona {
    pub(super) caller: Caller,
    /// The whole identity, every claim of it, as a text. `None` is anonymous.
    identity: Option<Arc<str>>,
}

/// With whom a run's answer may be shared, as far as its question is known.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Share {
    /// No run has asked who called.
    Everyone,
    /// Runs ask for the identity.
    Identity(Option<Arc<str>>),
    /// Runs ask for the peer.
    Peer { identity: Option<Arc<str>>, ip: Option<IpAddr>, user_agent: Option<String> },
}

impl Persona {
    pub(super) fn new(caller: Caller) -> Self {
        let text = |identity| serde_json::to_string(identity).expect("an identity is texts and JSON");
        let identity = caller.identity.as_deref().map(|identity| text(identity).into());
        Self { caller, identity }
    }

    pub(super) fn share(&self, observed: Observed) -> Share {
        let identity = || self.identity.as_ref().map(Arc::clone);
        match observed {
            Observed::Nothing => Share::Everyone,
            Observed::Identity => Share::Identity(identity()),
            Observed::Peer => {
                let user_agent = self.caller.user_agent.as_deref().map(str::to_owned);
                Share::Peer { identity: identity(), ip: self.caller.ip, user_agent }
            }
        }
    }
}
