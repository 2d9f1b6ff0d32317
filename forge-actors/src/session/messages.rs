//! The messages that a session's actor receives.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frame::ClientFrame;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::Fault;
use crate::kernel::time::Timestamp;
use crate::kernel::trace::TraceContext;
use crate::reactor::{MutationId, SubscriptionId};
use crate::supervise::Reply;

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
    /// An operator asks for the session's description.
    Describe(Reply<SessionInfo>),
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

/// One session, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// Id of the session.
    pub id: SessionId,
    /// `sub` of the client's token; `None` for an anonymous client.
    pub subject: Option<String>,
    /// Address of the client.
    pub address: IpAddr,
    /// `User-Agent` of the client.
    pub user_agent: Option<String>,
    /// When the client connected.
    pub connected_at: Timestamp,
    /// Open subscriptions.
    pub subscriptions: usize,
    /// Mutations that run or wait for their turn.
    pub mutations: usize,
}
