//! The messages that a session's actor receives.

use std::sync::Arc;

use bytes::Bytes;

use super::frame::ClientFrame;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::Fault;
use crate::kernel::trace::TraceContext;
use crate::reactor::{MutationId, SubscriptionId};

crate::id! {
    /// Names one session: the last segment of its actor's path.
    pub SessionId,
}

/// What a session's actor receives.
#[derive(forge_app_macros::Message)]
pub(super) enum SessionMessage {
    /// The client sent a frame.
    Received(Box<ClientFrame>),
    /// The function subsystem has answered a mutation of this client.
    MutationCompleted(Box<CompletedMutation>),
    /// The effects of these mutations are part of what the reactor has delivered.
    MutationsApplied(Box<[MutationId]>),
    /// The reactor delivered a final error for each of these subscriptions.
    SubscriptionsEnded(Vec<SubscriptionId>),
    /// The reactor restarted and knows no subscription of this client any more.
    ReactorRestarted,
    /// The reactor of this node is gone.
    ReactorLost,
    /// A timer of the session has expired.
    TimedOut(SessionTimeout),
    /// The node shuts down.
    Drain,
    /// The task of the socket has ended.
    Disconnected,
}

/// The timers of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionTimeout {
    /// The client did not send `hello` in time.
    Hello,
    /// The client's token has expired.
    Token,
    /// The client did not send another token in time.
    TokenGrace,
    /// The time to connect to another node, granted by `goAway`, has passed.
    GoAway,
}

/// A mutation of the client, answered.
#[derive(Debug)]
pub(super) struct CompletedMutation {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) trace: TraceContext,
    pub(super) result: Result<Bytes, Fault>,
    pub(super) receipt: Receipt,
}
