//! What a session decides: frames and events in, actions out. No IO, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::frame::{ClientFrame, Mutation};
use super::limits::TOKEN_GRACE;
use super::outlet::{End, Opened};
use super::wire::CloseCode;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::time::{Timestamp, format_duration, secs};
use crate::kernel::trace::TraceContext;
use crate::reactor::{MutationId, SubscriptionId, Version};

/// Who connected.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// Its `User-Agent`, safe to log.
    pub user_agent: Option<String>,
}

/// A verified token.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) identity: Arc<Identity>,
    pub(super) expires_at: Timestamp,
}

/// Limits that the state itself holds to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) subscriptions_max: usize,
    pub(super) mutations_waiting_max: usize,
    pub(super) hello_timeout: Duration,
    pub(super) go_away_after: Duration,
}

/// What the actor is to do, in this order.
#[derive(Debug)]
pub(super) enum Action {
    Welcome,
    Authenticated(Result<(), Fault>),
    Pong(u32),
    GoAway,
    /// Also ends the one that it replaces.
    Subscribe(Opened, Box<Invocation>),
    Unsubscribe(SubscriptionId),
    Run(u32, Box<Invocation>),
    /// Ask the reactor when the commit is visible.
    Await(u32, Receipt),
    Result(Box<Ended>),
    /// Hold news back, or let them go.
    Hold(bool),
    /// Sets the one alarm of the token (and, before, of `hello`); `None` switches it off.
    Alarm(Option<(Alarm, Duration)>),
    LeaveAfter(Duration),
    End(End),
}

/// What time brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    HelloOverdue,
    TokenExpired,
    GraceOver,
    Leave,
}

/// A mutation that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: u32,
    pub(super) name: Arc<str>,
    pub(super) trace: TraceContext,
    pub(super) outcome: Result<Bytes, Fault>,
    pub(super) receipt: Receipt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Greeting,
    Open,
    /// Only what runs is waited for.
    Leaving,
}

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    name: Arc<str>,
    args: Bytes,
    /// The version that the client named.
    version: Option<Version>,
    /// The reactor was asked for it. Not so while the token has lapsed: as nobody the client would lose what
    /// it may have again in a moment.
    asked: bool,
}

/// One session.
#[derive(Debug)]
pub(super) struct State {
    peer: Peer,
    limits: Limits,
    phase: Phase,
    told_to_go: bool,
    signed: Option<Signed>,
    /// The token has expired, and no other has come yet.
    lapsed: bool,
    /// Boxed, because the map's first node has room for eleven, and most clients have few.
    subscriptions: BTreeMap<u32, Box<Subscription>>,
    /// Some of them wait for another token to be made, or made anew.
    stale: bool,
    next: u32,
    waiting: VecDeque<(Mutation, Caller)>,
    running: Option<u32>,
    /// Committed, and not yet told as visible.
    awaited: BTreeSet<u32>,
}

impl State {
    pub(super) fn new(peer: Peer, limits: Limits) -> Self {
        Self {
            peer,
            limits,
            phase: Phase::Greeting,
            told_to_go: false,
            signed: None,
            lapsed: false,
            subscriptions: BTreeMap::new(),
            stale: false,
            next: 0,
            waiting: VecDeque::new(),
            running: None,
            awaited: BTreeSet::new(),
        }
    }

    pub(super) fn signed(&self) -> Option<&Signed> {
        self.signed.as_ref()
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    pub(super) fn mutations(&self) -> usize {
        self.waiting.len() + usize::from(self.running.is_some())
    }

    /// A frame came. `verify` reads a token.
    pub(super) fn receive(
        &mut self,
        frame: ClientFrame,
        now: Timestamp,
        verify: impl Fn(&str) -> Result<Signed, Fault>,
    ) -> Vec<Action> {
        let verified = |token: Option<&str>| token.map(|token| unexpired(verify(token)?, now)).transpose();
        match (self.phase, frame) {
            (Phase::Greeting, ClientFrame::Hello { token, contract: _ }) => {
                self.hello(verified(token.as_deref()), now)
            }
            (Phase::Greeting, _) => vec![broken("the first frame is `hello`")],
            (_, ClientFrame::Hello { .. }) => vec![broken("`hello` comes once")],
            (_, ClientFrame::Ping { id }) => vec![Action::Pong(id)],
            (_, ClientFrame::Unsubscribe { id }) => self
                .subscriptions
                .remove(&id)
                .map(|known| Action::Unsubscribe(known.id))
                .into_iter()
                .collect(),
            (_, ClientFrame::Mutate(mutation)) => self.mutate(mutation),
            (Phase::Open, ClientFrame::Subscribe { id, name, args, version }) => {
                let Some(inner) = self.admit(id) else { return vec![self.too_many(id)] };
                let subscription =
                    Box::new(Subscription { id: inner, name, args, version, asked: !self.lapsed });
                let opened = Opened { id: inner, wire: id, version, replaces: None };
                let invocation = self.query(&subscription);
                self.subscriptions.insert(id, subscription);
                if self.lapsed {
                    self.stale = true;
                    return Vec::new();
                }
                vec![Action::Subscribe(opened, Box::new(invocation))]
            }
            (Phase::Open, ClientFrame::Authenticate { token }) => {
                self.authenticate(verified(token.as_deref()), now)
            }
            // The client was told to go, and has gone.
            (Phase::Leaving, ClientFrame::Subscribe { .. } | ClientFrame::Authenticate { .. }) => Vec::new(),
        }
    }

    fn hello(&mut self, verified: Result<Option<Signed>, Fault>, now: Timestamp) -> Vec<Action> {
        match verified {
            Ok(signed) => {
                (self.phase, self.signed) = (Phase::Open, signed);
                vec![Action::Alarm(self.expiry(now)), Action::Welcome]
            }
            Err(fault) => vec![Action::End(End { code: CloseCode::TokenExpired, fault: Some(fault) })],
        }
    }

    /// Another token, or none. What the former caller was to be told is not told any more.
    fn authenticate(&mut self, verified: Result<Option<Signed>, Fault>, now: Timestamp) -> Vec<Action> {
        let signed = match verified {
            Ok(signed) => signed,
            Err(fault) => return vec![Action::Authenticated(Err(fault))],
        };
        let same = match (&self.signed, &signed) {
            (Some(former), Some(new)) => is_same(&former.identity, &new.identity),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if self.lapsed {
            // They were sent by the former caller, whose token is of no use any more.
            let identity = signed.as_ref().filter(|_| same).map(|signed| &signed.identity);
            for (_, caller) in &mut self.waiting {
                caller.identity = identity.map(Arc::clone);
            }
        }
        (self.signed, self.lapsed) = (signed, false);
        let mut actions = vec![Action::Alarm(self.expiry(now)), Action::Hold(true)];
        if !same || self.stale {
            actions.extend(self.subscribe_anew());
        }
        actions.extend([Action::Authenticated(Ok(())), Action::Hold(false)]);
        actions.extend(self.run_next());
        actions
    }

    /// The reactor forgot everything.
    pub(super) fn reset(&mut self) -> Vec<Action> {
        if self.lapsed {
            self.stale = true;
            return Vec::new();
        }
        self.subscribe_anew()
    }

    /// Makes every subscription once more, as the caller of now.
    fn subscribe_anew(&mut self) -> Vec<Action> {
        self.stale = false;
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        let mut actions = Vec::with_capacity(subscriptions.len());
        for (wire, subscription) in &mut subscriptions {
            let former = std::mem::replace(&mut subscription.id, self.next_id());
            let replaces = std::mem::replace(&mut subscription.asked, true).then_some(former);
            let opened = Opened { id: subscription.id, wire: *wire, version: subscription.version, replaces };
            actions.push(Action::Subscribe(opened, Box::new(self.query(subscription))));
        }
        self.subscriptions = subscriptions;
        actions
    }

    fn admit(&mut self, wire: u32) -> Option<SubscriptionId> {
        let admitted = self.subscriptions.len() < self.limits.subscriptions_max
            && !self.subscriptions.contains_key(&wire);
        admitted.then(|| self.next_id())
    }

    fn too_many(&self, wire: u32) -> Action {
        if self.subscriptions.contains_key(&wire) {
            broken(format!("the subscription {wire} exists"))
        } else {
            broken(format!("a connection has at most {} subscriptions", self.limits.subscriptions_max))
        }
    }

    /// Four billion later it starts again, when nothing of the first ones is under way.
    fn next_id(&mut self) -> SubscriptionId {
        self.next = self.next.wrapping_add(1);
        SubscriptionId(self.next)
    }

    fn query(&self, subscription: &Subscription) -> Invocation {
        Invocation::new(Arc::clone(&subscription.name), Bytes::clone(&subscription.args), self.caller())
    }

    /// The reactor ended these.
    pub(super) fn subscriptions_ended(&mut self, ended: &[SubscriptionId]) -> Vec<Action> {
        self.forget(ended);
        Vec::new()
    }

    /// The inner ids decide: the client's number may name a newer subscription by now.
    pub(super) fn forget(&mut self, ended: &[SubscriptionId]) {
        self.subscriptions.retain(|_, subscription| !ended.contains(&subscription.id));
    }

    fn mutate(&mut self, mutation: Mutation) -> Vec<Action> {
        let id = mutation.id;
        let known = self.running == Some(id)
            || self.awaited.contains(&id)
            || self.waiting.iter().any(|(other, _)| other.id == id);
        if known {
            return vec![broken(format!("the mutation {id} has not ended"))];
        }
        let refusal = if self.phase == Phase::Leaving {
            Some(Fault::new(Code::Unavailable, "the node is stopping; connect again").retry_after(secs(1)))
        } else if self.waiting.len().max(self.awaited.len()) >= self.limits.mutations_waiting_max {
            Some(
                Fault::new(Code::Overloaded, "too many mutations of this connection wait")
                    .retry_after(secs(1)),
            )
        } else {
            None
        };
        if let Some(fault) = refusal {
            let Mutation { id, name, trace, .. } = mutation;
            return vec![Action::Result(Box::new(Ended {
                id,
                name,
                trace,
                outcome: Err(fault),
                receipt: Receipt::default(),
            }))];
        }
        let caller = self.caller_of(self.signed.as_ref());
        self.waiting.push_back((mutation, caller));
        self.run_next().into_iter().collect()
    }

    /// The next mutation, when none runs. None begins while the token has lapsed: they wait for another one,
    /// as subscriptions do.
    fn run_next(&mut self) -> Option<Action> {
        if self.running.is_some() || self.lapsed {
            return None;
        }
        let (Mutation { id, name, args, idempotency_key, trace }, caller) = self.waiting.pop_front()?;
        self.running = Some(id);
        let invocation =
            Invocation { id: RequestId::new(), name, args, caller, trace, deadline: None, idempotency_key };
        Some(Action::Run(id, Box::new(invocation)))
    }

    pub(super) fn mutation_ended(&mut self, mut ended: Box<Ended>) -> Vec<Action> {
        self.running = None;
        let mut actions = Vec::new();
        if ended.outcome.is_ok() {
            self.awaited.insert(ended.id);
            actions.push(Action::Await(ended.id, std::mem::take(&mut ended.receipt)));
        }
        actions.push(Action::Result(ended));
        actions.extend(self.run_next());
        actions.extend(self.left());
        actions
    }

    /// The client is about to learn that these are visible.
    pub(super) fn applied(&mut self, mutations: &[MutationId]) -> Vec<Action> {
        for mutation in mutations {
            self.awaited.remove(&mutation.0);
        }
        Vec::new()
    }

    /// The node is draining.
    pub(super) fn drain(&mut self) -> Vec<Action> {
        if std::mem::replace(&mut self.told_to_go, true) {
            return Vec::new();
        }
        vec![Action::GoAway, Action::LeaveAfter(self.limits.go_away_after)]
    }

    /// There is no reactor any more, and without it nothing is live.
    pub(super) fn abandon(&mut self) -> Vec<Action> {
        let fault =
            Fault::new(Code::Unavailable, "live queries do not run on this node; connect to another one");
        vec![Action::End(End { code: CloseCode::Busy, fault: Some(fault) })]
    }

    pub(super) fn alarm(&mut self, alarm: Alarm, now: Timestamp) -> Vec<Action> {
        match alarm {
            Alarm::HelloOverdue => {
                vec![broken(format!("no `hello` came within {}", format_duration(self.limits.hello_timeout)))]
            }
            Alarm::TokenExpired => self.token_expired(now),
            Alarm::GraceOver => {
                let fault = Fault::new(Code::Unauthenticated, "the token is expired");
                vec![Action::End(End { code: CloseCode::TokenExpired, fault: Some(fault) })]
            }
            Alarm::Leave => {
                self.phase = Phase::Leaving;
                self.left().into_iter().collect()
            }
        }
    }

    fn token_expired(&mut self, now: Timestamp) -> Vec<Action> {
        match &self.signed {
            None => Vec::new(),
            // The two clocks differ a little.
            Some(signed) if now < signed.expires_at => vec![Action::Alarm(self.expiry(now))],
            Some(_) => {
                self.lapsed = true;
                vec![Action::Hold(true), Action::Alarm(Some((Alarm::GraceOver, TOKEN_GRACE)))]
            }
        }
    }

    fn expiry(&self, now: Timestamp) -> Option<(Alarm, Duration)> {
        let signed = self.signed.as_ref()?;
        Some((Alarm::TokenExpired, (signed.expires_at - now).to_std().unwrap_or_default()))
    }

    /// Closes when the client was told to go and nothing of it runs.
    fn left(&self) -> Option<Action> {
        let gone = self.phase == Phase::Leaving && self.mutations() == 0;
        gone.then_some(Action::End(End { code: CloseCode::GoingAway, fault: None }))
    }

    fn caller(&self) -> Caller {
        self.caller_of(self.signed.as_ref().filter(|_| !self.lapsed))
    }

    fn caller_of(&self, signed: Option<&Signed>) -> Caller {
        let identity = signed.map(|signed| Arc::clone(&signed.identity));
        Caller { identity, ip: Some(self.peer.ip), user_agent: self.peer.user_agent.clone() }
    }
}

/// A rule was broken.
fn broken(message: impl Into<std::borrow::Cow<'static, str>>) -> Action {
    Action::End(End { code: CloseCode::RuleBroken, fault: Some(Fault::new(Code::BadRequest, message)) })
}

/// The difference between clocks that tokens are forgiven ends a request later; a connection that stays open
/// counts from the claim.
fn unexpired(signed: Signed, now: Timestamp) -> Result<Signed, Fault> {
    if now < signed.expires_at {
        Ok(signed)
    } else {
        Err(Fault::new(Code::Unauthenticated, "the token is expired"))
    }
}

/// The same caller with a newer token: nothing that a handler decides by has changed.
fn is_same(former: &Identity, new: &Identity) -> bool {
    const OF_THE_TOKEN: [&str; 4] = ["exp", "iat", "nbf", "jti"];
    let lasting = |identity: &Identity, other: &Identity| {
        let mut claims = identity.claims.iter().filter(|(name, _)| !OF_THE_TOKEN.contains(&name.as_str()));
        claims.all(|(name, value)| other.claims.get(name) == Some(value))
    };
    former.subject == new.subject
        && former.roles == new.roles
        && former.tenant == new.tenant
        && lasting(former, new)
        && lasting(new, former)
}
