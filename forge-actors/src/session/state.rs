//! The state of one session, and every decision about it: `step` takes an input and returns outputs for the
//! actor to perform. It does no IO and reads no clock.
//!
//! ```text
//!   Greeting ──Hello──▶ Open ──TimedOut(GoAway)──▶ Leaving ──last mutation completed──▶ Close(1001)
//!      └─TimedOut(Hello)─▶ Close(1008)
//! ```
//! Beside the phase, a client with a token lapses when the token expires: its results are held and its
//! mutations wait, until it sends another token or is closed with 4401.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client_state::OpenedSubscription;
use super::frame::{ClientFrame, MutationRequest, SubscribeRequest};
use super::limits::TOKEN_GRACE;
use super::messages::{CompletedMutation, SessionTimeout};
use super::wire::{CloseCode, CloseReason};
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::remedy;
use crate::kernel::time::{Timestamp, format_duration, secs};
use crate::reactor::{MutationId, SubscriptionId, Version};

/// Where a client connected from.
#[derive(Debug, Clone)]
pub struct RemoteClient {
    /// Address of the client.
    pub ip: IpAddr,
    /// `User-Agent` of the client, with control characters escaped.
    pub user_agent: Option<String>,
}

/// A token whose signature and claims were verified.
#[derive(Debug, Clone)]
pub(super) struct VerifiedToken {
    pub(super) identity: Arc<Identity>,
    pub(super) expires_at: Timestamp,
}

/// The token of a frame: `None` signs out, an error says why the token is not accepted.
pub(super) type TokenCheck = Result<Option<VerifiedToken>, Fault>;

/// Limits of the session's own state.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionLimits {
    pub(super) subscriptions_max: usize,
    pub(super) mutations_waiting_max: usize,
    pub(super) hello_timeout: Duration,
    pub(super) go_away_after: Duration,
}

/// What happens to a session.
#[derive(Debug)]
pub(super) enum SessionInput {
    /// `contract` is the hash of the generated client that the page was built with.
    Hello {
        token: TokenCheck,
        contract: Option<String>,
    },
    Authenticate(TokenCheck),
    Subscribe(SubscribeRequest),
    Unsubscribe {
        id: u32,
    },
    Mutate(MutationRequest),
    Ping {
        id: u32,
    },
    MutationCompleted(Box<CompletedMutation>),
    MutationsApplied(Box<[MutationId]>),
    SubscriptionsEnded(Vec<SubscriptionId>),
    ReactorRestarted,
    ReactorLost,
    TimedOut(SessionTimeout),
    Drain,
}

/// What the actor is to do, in this order.
#[derive(Debug)]
pub(super) enum SessionOutput {
    Welcome,
    Authenticated(Result<(), Fault>),
    Pong(u32),
    GoAway,
    /// Open a subscription; also ends the one that it replaces.
    Subscribe(OpenedSubscription, Box<Invocation>),
    Unsubscribe(SubscriptionId),
    RunMutation(u32, Box<Invocation>),
    /// Ask the reactor to report when the commit of this mutation is visible.
    AwaitCommit(u32, Receipt),
    MutationResult(Box<CompletedMutation>),
    /// Keep results back, or let them go.
    HoldResults(bool),
    /// Set the timer of `hello` and of the token; `None` stops it.
    SetTimer(Option<(SessionTimeout, Duration)>),
    SetGoAwayTimer(Duration),
    Close(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionPhase {
    Greeting,
    Open,
    /// The time to connect to another node has passed: the session ends with its last mutation.
    Leaving,
}

/// What the client subscribed to, kept to subscribe again for another caller or a restarted reactor.
#[derive(Debug)]
struct ClientSubscription {
    id: SubscriptionId,
    name: Arc<str>,
    args: Bytes,
    /// The version of the result that the client said it has.
    version: Option<Version>,
    /// False for a subscription that was made while the token had lapsed. It waits for another token, since
    /// the reactor would refuse and so end it for an anonymous caller.
    opened: bool,
}

/// One session.
#[derive(Debug)]
pub(super) struct SessionState {
    client: RemoteClient,
    limits: SessionLimits,
    phase: SessionPhase,
    /// The contract that the client named in `hello`.
    contract: Option<String>,
    /// `goAway` was sent.
    draining: bool,
    token: Option<VerifiedToken>,
    /// The token has expired, and the client has not sent another one yet.
    lapsed: bool,
    /// By the client's number. Boxed, because a node of the map has space for eleven entries, and most
    /// clients have few.
    subscriptions: BTreeMap<u32, Box<ClientSubscription>>,
    /// True while subscriptions wait for another token to be opened or reopened.
    reopen_pending: bool,
    last_id: u32,
    /// Mutations that wait for their turn, with the caller who sent them.
    waiting: VecDeque<(MutationRequest, Caller)>,
    running: Option<u32>,
    /// Committed mutations whose effects the reactor has not delivered yet.
    awaited: BTreeSet<u32>,
}

impl SessionInput {
    /// The input of a frame; `verify` checks a token.
    pub(super) fn from_frame(
        frame: ClientFrame,
        verify: impl Fn(&str) -> Result<VerifiedToken, Fault>,
    ) -> Self {
        let check = |token: Option<String>| token.as_deref().map(verify).transpose();
        match frame {
            ClientFrame::Hello { token, contract } => Self::Hello { token: check(token), contract },
            ClientFrame::Authenticate { token } => Self::Authenticate(check(token)),
            ClientFrame::Subscribe(request) => Self::Subscribe(request),
            ClientFrame::Unsubscribe { id } => Self::Unsubscribe { id },
            ClientFrame::Mutate(request) => Self::Mutate(request),
            ClientFrame::Ping { id } => Self::Ping { id },
        }
    }

    fn is_frame(&self) -> bool {
        matches!(
            self,
            Self::Hello { .. }
                | Self::Authenticate(_)
                | Self::Subscribe(_)
                | Self::Unsubscribe { .. }
                | Self::Mutate(_)
                | Self::Ping { .. }
        )
    }
}

impl SessionState {
    pub(super) fn new(client: RemoteClient, limits: SessionLimits) -> Self {
        Self {
            client,
            limits,
            phase: SessionPhase::Greeting,
            contract: None,
            draining: false,
            token: None,
            lapsed: false,
            subscriptions: BTreeMap::new(),
            reopen_pending: false,
            last_id: 0,
            waiting: VecDeque::new(),
            running: None,
            awaited: BTreeSet::new(),
        }
    }

    pub(super) fn token(&self) -> Option<&VerifiedToken> {
        self.token.as_ref()
    }

    /// True when the client was built for another contract than `own`. A client or a node without a contract
    /// is of no known version.
    pub(super) fn is_of_another_version(&self, own: Option<&str>) -> bool {
        self.contract.as_deref().zip(own).is_some_and(|(contract, own)| contract != own)
    }

    #[cfg(test)]
    pub(super) fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    pub(super) fn mutations(&self) -> usize {
        self.waiting.len() + usize::from(self.running.is_some())
    }

    /// Takes one input at `now`, and returns what is to be done.
    pub(super) fn step(&mut self, input: SessionInput, now: Timestamp) -> Vec<SessionOutput> {
        if self.phase == SessionPhase::Greeting && input.is_frame() {
            return match input {
                SessionInput::Hello { token, contract } => {
                    self.contract = contract;
                    self.hello(unexpired(token, now), now)
                }
                _ => vec![violation("the first frame is `hello`")],
            };
        }
        match input {
            SessionInput::Hello { .. } => vec![violation("`hello` comes once")],
            SessionInput::Authenticate(token) => self.authenticate(unexpired(token, now), now),
            SessionInput::Subscribe(request) => self.subscribe(request),
            SessionInput::Unsubscribe { id } => self.unsubscribe(id),
            SessionInput::Mutate(request) => self.mutate(request),
            SessionInput::Ping { id } => vec![SessionOutput::Pong(id)],
            SessionInput::MutationCompleted(completed) => self.mutation_completed(completed),
            SessionInput::MutationsApplied(mutations) => self.mutations_applied(&mutations),
            SessionInput::SubscriptionsEnded(ended) => self.subscriptions_ended(&ended),
            SessionInput::ReactorRestarted => self.reactor_restarted(),
            SessionInput::ReactorLost => vec![reactor_lost()],
            SessionInput::TimedOut(timeout) => self.timed_out(timeout, now),
            SessionInput::Drain => self.drain(),
        }
    }

    fn hello(&mut self, token: TokenCheck, now: Timestamp) -> Vec<SessionOutput> {
        match token {
            Ok(token) => {
                self.phase = SessionPhase::Open;
                self.token = token;
                vec![SessionOutput::SetTimer(self.expiry(now)), SessionOutput::Welcome]
            }
            Err(fault) => vec![SessionOutput::Close(CloseCode::TokenExpired.because(fault))],
        }
    }

    /// The client sent another token, or none. Pending results of the former caller are dropped.
    fn authenticate(&mut self, token: TokenCheck, now: Timestamp) -> Vec<SessionOutput> {
        if self.phase == SessionPhase::Leaving {
            return Vec::new();
        }
        let token = match token {
            Ok(token) => token,
            Err(fault) => return vec![SessionOutput::Authenticated(Err(fault))],
        };
        let same_caller = match (&self.token, &token) {
            (Some(former), Some(new)) => is_same_caller(&former.identity, &new.identity),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if self.lapsed {
            // The waiting mutations were sent by the former caller. They run as that caller with the new
            // token, or without a caller: the former token has expired.
            let identity = token.as_ref().filter(|_| same_caller).map(|token| &token.identity);
            for (_, caller) in &mut self.waiting {
                caller.identity = identity.map(Arc::clone);
            }
        }
        self.token = token;
        self.lapsed = false;
        let mut outputs = vec![SessionOutput::SetTimer(self.expiry(now)), SessionOutput::HoldResults(true)];
        if !same_caller || self.reopen_pending {
            outputs.extend(self.reopen_subscriptions());
        }
        outputs.extend([SessionOutput::Authenticated(Ok(())), SessionOutput::HoldResults(false)]);
        outputs.extend(self.run_next_mutation());
        outputs
    }

    fn subscribe(&mut self, request: SubscribeRequest) -> Vec<SessionOutput> {
        if self.phase == SessionPhase::Leaving {
            return Vec::new();
        }
        let SubscribeRequest { id: client_subscription, name, args, version } = request;
        if self.subscriptions.contains_key(&client_subscription) {
            return vec![violation(format!("the subscription {client_subscription} exists"))];
        }
        if self.subscriptions.len() >= self.limits.subscriptions_max {
            let subscriptions_max = self.limits.subscriptions_max;
            return vec![violation(format!("a connection has at most {subscriptions_max} subscriptions"))];
        }
        let id = self.next_id();
        let subscription = Box::new(ClientSubscription { id, name, args, version, opened: !self.lapsed });
        let opened = OpenedSubscription { id, client_subscription, version, replaces: None };
        let invocation = self.query(&subscription);
        self.subscriptions.insert(client_subscription, subscription);
        if self.lapsed {
            self.reopen_pending = true;
            return Vec::new();
        }
        vec![SessionOutput::Subscribe(opened, Box::new(invocation))]
    }

    /// A number that is not subscribed is ignored: the server may have ended the subscription first.
    fn unsubscribe(&mut self, client_subscription: u32) -> Vec<SessionOutput> {
        let closed = self.subscriptions.remove(&client_subscription);
        closed.map(|subscription| SessionOutput::Unsubscribe(subscription.id)).into_iter().collect()
    }

    fn reactor_restarted(&mut self) -> Vec<SessionOutput> {
        if self.lapsed {
            self.reopen_pending = true;
            return Vec::new();
        }
        self.reopen_subscriptions()
    }

    /// Opens every subscription again, under a new id, for the current caller.
    fn reopen_subscriptions(&mut self) -> Vec<SessionOutput> {
        self.reopen_pending = false;
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        let mut outputs = Vec::with_capacity(subscriptions.len());
        for (&client_subscription, subscription) in &mut subscriptions {
            let former = std::mem::replace(&mut subscription.id, self.next_id());
            let replaces = std::mem::replace(&mut subscription.opened, true).then_some(former);
            let (id, version) = (subscription.id, subscription.version);
            let opened = OpenedSubscription { id, client_subscription, version, replaces };
            outputs.push(SessionOutput::Subscribe(opened, Box::new(self.query(subscription))));
        }
        self.subscriptions = subscriptions;
        outputs
    }

    /// An id of this session. The counter wraps after four billion ids, when no result of the first ones can
    /// be on its way any more.
    fn next_id(&mut self) -> SubscriptionId {
        self.last_id = self.last_id.wrapping_add(1);
        SubscriptionId(self.last_id)
    }

    fn query(&self, subscription: &ClientSubscription) -> Invocation {
        let caller = self.caller_with(self.token.as_ref().filter(|_| !self.lapsed));
        Invocation::new(Arc::clone(&subscription.name), Bytes::clone(&subscription.args), caller)
    }

    /// Compares the session's own ids: the client's number may name a newer subscription by now.
    fn subscriptions_ended(&mut self, ended: &[SubscriptionId]) -> Vec<SessionOutput> {
        self.subscriptions.retain(|_, subscription| !ended.contains(&subscription.id));
        Vec::new()
    }

    fn mutate(&mut self, request: MutationRequest) -> Vec<SessionOutput> {
        let id = request.id;
        let is_known = self.running == Some(id)
            || self.awaited.contains(&id)
            || self.waiting.iter().any(|(other, _)| other.id == id);
        if is_known {
            return vec![violation(format!("the mutation {id} has not ended"))];
        }
        if let Some(fault) = self.refuse_mutation(&request) {
            let MutationRequest { id, name, trace, .. } = request;
            let (result, receipt) = (Err(fault), Receipt::default());
            let refused = CompletedMutation { id, name, trace, result, receipt };
            return vec![SessionOutput::MutationResult(Box::new(refused))];
        }
        let caller = self.caller_with(self.token.as_ref());
        self.waiting.push_back((request, caller));
        self.run_next_mutation().into_iter().collect()
    }

    fn refuse_mutation(&self, request: &MutationRequest) -> Option<Fault> {
        let refused = |code, message| Some(Fault::new(code, message).retry_after(secs(1)));
        if self.phase == SessionPhase::Leaving {
            return refused(Code::Unavailable, "the node is stopping; connect again");
        }
        if self.waiting.len().max(self.awaited.len()) >= self.limits.mutations_waiting_max {
            return refused(Code::Overloaded, "too many mutations of this connection wait").map(|fault| {
                fault.with_help("await some of them first, or raise `sessions.mutations_waiting_max`")
            });
        }
        let invalid = request.idempotency_key.as_ref().err()?;
        Some(Fault::new(Code::BadRequest, format!("`idem`: {invalid}")))
    }

    /// Starts the next mutation when none runs. While the token has lapsed no mutation starts.
    fn run_next_mutation(&mut self) -> Option<SessionOutput> {
        if self.running.is_some() || self.lapsed {
            return None;
        }
        let (request, caller) = self.waiting.pop_front()?;
        let MutationRequest { id, name, args, idempotency_key, trace } = request;
        // An invalid key was refused before the mutation waited.
        let idempotency_key = idempotency_key.unwrap_or_default();
        self.running = Some(id);
        let invocation =
            Invocation { id: RequestId::new(), name, args, caller, trace, deadline: None, idempotency_key };
        Some(SessionOutput::RunMutation(id, Box::new(invocation)))
    }

    fn mutation_completed(&mut self, mut completed: Box<CompletedMutation>) -> Vec<SessionOutput> {
        self.running = None;
        let mut outputs = Vec::new();
        if completed.result.is_ok() {
            self.awaited.insert(completed.id);
            let receipt = std::mem::take(&mut completed.receipt);
            outputs.push(SessionOutput::AwaitCommit(completed.id, receipt));
        }
        outputs.push(SessionOutput::MutationResult(completed));
        outputs.extend(self.run_next_mutation());
        outputs.extend(self.close_if_left());
        outputs
    }

    fn mutations_applied(&mut self, mutations: &[MutationId]) -> Vec<SessionOutput> {
        for mutation in mutations {
            self.awaited.remove(&mutation.0);
        }
        Vec::new()
    }

    fn drain(&mut self) -> Vec<SessionOutput> {
        if std::mem::replace(&mut self.draining, true) {
            return Vec::new();
        }
        vec![SessionOutput::GoAway, SessionOutput::SetGoAwayTimer(self.limits.go_away_after)]
    }

    fn timed_out(&mut self, timeout: SessionTimeout, now: Timestamp) -> Vec<SessionOutput> {
        match timeout {
            SessionTimeout::Hello => {
                let limit = format_duration(self.limits.hello_timeout);
                vec![violation(format!("no `hello` came within {limit}"))]
            }
            SessionTimeout::Token => self.token_expired(now),
            SessionTimeout::TokenGrace => {
                let fault =
                    Fault::new(Code::Unauthenticated, "the token is expired").with_help(remedy::TOKEN);
                vec![SessionOutput::Close(CloseCode::TokenExpired.because(fault))]
            }
            SessionTimeout::GoAway => {
                self.phase = SessionPhase::Leaving;
                self.close_if_left().into_iter().collect()
            }
        }
    }

    fn token_expired(&mut self, now: Timestamp) -> Vec<SessionOutput> {
        match &self.token {
            None => Vec::new(),
            // The clock of timers ran ahead of the wall clock, by which tokens expire.
            Some(token) if now < token.expires_at => vec![SessionOutput::SetTimer(self.expiry(now))],
            Some(_) => {
                self.lapsed = true;
                let grace = Some((SessionTimeout::TokenGrace, TOKEN_GRACE));
                vec![SessionOutput::HoldResults(true), SessionOutput::SetTimer(grace)]
            }
        }
    }

    fn expiry(&self, now: Timestamp) -> Option<(SessionTimeout, Duration)> {
        let token = self.token.as_ref()?;
        Some((SessionTimeout::Token, (token.expires_at - now).to_std().unwrap_or_default()))
    }

    fn close_if_left(&self) -> Option<SessionOutput> {
        let left = self.phase == SessionPhase::Leaving && self.mutations() == 0;
        left.then_some(SessionOutput::Close(CloseReason { code: CloseCode::GoingAway, fault: None }))
    }

    fn caller_with(&self, token: Option<&VerifiedToken>) -> Caller {
        let identity = token.map(|token| Arc::clone(&token.identity));
        Caller { identity, ip: Some(self.client.ip), user_agent: self.client.user_agent.clone() }
    }
}

/// The client broke a rule of the protocol.
fn violation(message: impl Into<std::borrow::Cow<'static, str>>) -> SessionOutput {
    SessionOutput::Close(CloseCode::PolicyViolation.because(Fault::new(Code::BadRequest, message)))
}

fn reactor_lost() -> SessionOutput {
    let message = "live queries do not run on this node; connect to another one";
    SessionOutput::Close(CloseCode::TryAgainLater.because(Fault::new(Code::Unavailable, message)))
}

/// Refuses a token that has expired. The leeway for differing clocks is granted to requests, not to a
/// connection that stays open.
fn unexpired(token: TokenCheck, now: Timestamp) -> TokenCheck {
    match token {
        Ok(Some(token)) if now >= token.expires_at => {
            Err(Fault::new(Code::Unauthenticated, "the token is expired").with_help(remedy::TOKEN))
        }
        other => other,
    }
}

/// The new token is of the same caller: nothing that a handler can decide by has changed.
fn is_same_caller(former: &Identity, new: &Identity) -> bool {
    const CLAIMS_OF_THE_TOKEN: [&str; 4] = ["exp", "iat", "nbf", "jti"];
    let has_claims_of = |identity: &Identity, other: &Identity| {
        let mut claims =
            identity.claims.iter().filter(|(name, _)| !CLAIMS_OF_THE_TOKEN.contains(&name.as_str()));
        claims.all(|(name, value)| other.claims.get(name) == Some(value))
    };
    former.subject == new.subject
        && former.roles == new.roles
        && former.tenant == new.tenant
        && has_claims_of(former, new)
        && has_claims_of(new, former)
}
