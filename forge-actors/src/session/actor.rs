//! The session's actor: owns the socket's task and the reactor's client, and does what [`State`] decides.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::frame::ClientFrame;
use super::messages::{SessionId, SessionInfo, Shared};
use super::outlet::{End, Opened, Outlet, ends_subscription};
use super::render::{Authenticated, ServerFrame, mutation_result};
use super::socket::{self, Socket};
use super::state::{Action, Alarm, Ended, Limits, Peer, Signed, State};
use super::wire::CloseCode;
use crate::app::handler::Access;
use crate::app::kind::KindName;
use crate::app::token::Tokens;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::slot::Slot;
use crate::kernel::time::Timestamp;
use crate::reactor::{Client, MutationId, QueryResult, Sink, SubscriptionId, Version};
use crate::supervise::{Actor, ActorError, Context, Reply, Timer};

/// What a session's actor is told.
#[derive(forge_app_macros::Message)]
pub(super) enum SessionMessage {
    /// The client sent a frame.
    Received(Box<ClientFrame>),
    MutationEnded(Box<Ended>),
    /// The reactor told the client of these mutations.
    Applied(Box<[MutationId]>),
    /// The reactor ended these subscriptions.
    SubscriptionsEnded(Vec<SubscriptionId>),
    /// The reactor forgot everything.
    Reset,
    Ring(Alarm),
    /// The node is on its way out.
    Drain,
    /// There is no reactor any more.
    Abandoned,
    /// The socket's task has ended.
    Disconnected,
    Describe(Reply<SessionInfo>),
}

/// One client's connection.
pub(super) struct SessionActor {
    id: SessionId,
    shared: Arc<Shared>,
    peer: Peer,
    /// Taken at the start; a session has one life.
    socket: Arc<Slot<Socket>>,
}

/// What changes in its life.
pub(super) struct Connected {
    state: State,
    outlet: Arc<Outlet>,
    client: Client,
    connected_at: Timestamp,
    alarm: Option<Timer>,
    leave: Option<Timer>,
}

#[derive(Debug, thiserror::Error)]
#[error("a session has one socket and one life")]
struct NoSocket;

impl SessionActor {
    pub(super) fn new(id: SessionId, shared: Arc<Shared>, peer: Peer, socket: Arc<Slot<Socket>>) -> Self {
        Self { id, shared, peer, socket }
    }

    fn perform(&self, cx: &Context<SessionMessage>, connected: &mut Connected, actions: Vec<Action>) {
        for action in actions {
            self.act(cx, connected, action);
        }
    }

    fn act(&self, cx: &Context<SessionMessage>, connected: &mut Connected, action: Action) {
        let outlet = &connected.outlet;
        match action {
            Action::Welcome => outlet.reply(self.welcome(&connected.state).text()),
            Action::Authenticated(result) => outlet.reply(authenticated(&connected.state, &result)),
            Action::Pong(id) => outlet.reply(ServerFrame::Pong { id }.text()),
            Action::GoAway => outlet
                .reply(ServerFrame::GoAway { after_ms: millis(self.shared.config.go_away_after) }.text()),
            Action::Subscribe(opened, invocation) => subscribe(&self.shared, connected, opened, *invocation),
            Action::Unsubscribe(id) => {
                connected.client.unsubscribe(id);
                outlet.change(|pending| pending.close(id));
            }
            Action::Run(id, invocation) => self.run(cx, outlet, id, *invocation),
            Action::Await(id, receipt) => connected.client.await_commit(MutationId(id), &receipt),
            Action::Result(ended) => outlet.reply(self.result(&ended)),
            Action::Hold(held) => outlet.change(|pending| pending.held = Some(held)),
            Action::Alarm(alarm) => {
                connected.alarm =
                    alarm.map(|(alarm, after)| cx.send_after(after, SessionMessage::Ring(alarm)))
            }
            Action::LeaveAfter(after) => {
                connected.leave = Some(cx.send_after(after, SessionMessage::Ring(Alarm::Leave)))
            }
            Action::End(end) => outlet.end(end),
        }
    }

    fn welcome<'a>(&'a self, state: &'a State) -> ServerFrame<'a> {
        ServerFrame::Welcome {
            session: self.id.to_string(),
            node: self.shared.node.to_string(),
            contract: self.shared.contract.as_deref(),
            subject: state.signed().map(|signed| signed.identity.subject.as_str()),
            expires_at: state.signed().map(|signed| signed.expires_at),
            ping_ms: millis(self.shared.config.ping_interval),
        }
    }

    /// Runs a mutation beside the actor. When the session ends meanwhile the mutation goes on: the function
    /// room owns it.
    fn run(&self, cx: &Context<SessionMessage>, outlet: &Arc<Outlet>, id: u32, invocation: Invocation) {
        let (name, trace) = (Arc::clone(&invocation.name), invocation.trace);
        let (shared, outlet) = (Arc::clone(&self.shared), Arc::clone(outlet));
        cx.spawn("mutation", async move {
            let (outcome, receipt) = match refuse_other_kinds(&shared, &invocation) {
                Some(fault) => (Err(fault), Receipt::default()),
                None => shared.functions.submit(invocation).await,
            };
            outlet.tell(SessionMessage::MutationEnded(Box::new(Ended { id, name, trace, outcome, receipt })));
        });
    }

    fn result(&self, ended: &Ended) -> super::wire::TextFrame {
        let trace_id = ended.trace.trace_id_hex();
        self.log(ended, &trace_id);
        let frame = mutation_result(ended.id, &ended.outcome, &trace_id);
        let bytes_max = self.shared.config.transition_bytes_max;
        if frame.payload().len() <= bytes_max {
            return frame;
        }
        let message = format!(
            "the mutation is committed; its answer does not fit: a frame to a client has at most {bytes_max} bytes"
        );
        mutation_result(ended.id, &Err(Fault::new(Code::PayloadTooLarge, message)), &trace_id)
    }

    /// As for a call over HTTP: an error is worth a line at info, which the trace id that the client was told
    /// finds; the rest is for the developer.
    fn log(&self, ended: &Ended, trace_id: &str) {
        let function = loggable(&self.shared, &ended.name);
        match &ended.outcome {
            Ok(_) => tracing::debug!(function, trace_id, "a mutation was answered"),
            Err(fault) => {
                fault.log_hidden(function, trace_id);
                tracing::info!(
                    function,
                    trace_id,
                    code = fault.code().name(),
                    "a mutation was answered with an error"
                );
            }
        }
    }

    fn describe(&self, connected: &Connected, reply: Reply<SessionInfo>) -> Vec<Action> {
        let Connected { state, connected_at, .. } = connected;
        reply.send(SessionInfo {
            id: self.id,
            subject: state.signed().map(|signed| signed.identity.subject.clone()),
            address: state.peer().ip,
            user_agent: state.peer().user_agent.clone(),
            connected_at: *connected_at,
            subscriptions: state.subscriptions(),
            mutations: state.mutations(),
        });
        Vec::new()
    }
}

impl Actor for SessionActor {
    type Message = SessionMessage;
    type State = Connected;
    const KIND: &'static str = "session";
    /// More than a client's burst of frames.
    const MAILBOX_MAX: usize = 4_096;

    async fn start(&self, cx: &Context<SessionMessage>) -> Result<Connected, ActorError> {
        let socket = self.socket.try_take().ok_or(NoSocket)?;
        let config = &self.shared.config;
        let limits = Limits {
            subscriptions_max: config.subscriptions_max,
            mutations_waiting_max: config.mutations_waiting_max,
            hello_timeout: config.hello_timeout,
            go_away_after: config.go_away_after,
        };
        let outlet = Arc::new(Outlet::new(cx.address(), Arc::clone(&self.shared.signals)));
        let client = self.shared.reactor.attach(Arc::clone(&outlet) as Arc<dyn Sink>);
        cx.spawn("socket", socket::serve(socket, Arc::clone(&outlet)));
        let mut connected = Connected {
            state: State::new(self.peer.clone(), limits),
            outlet,
            client,
            connected_at: Utc::now(),
            alarm: Some(cx.send_after(config.hello_timeout, SessionMessage::Ring(Alarm::HelloOverdue))),
            leave: None,
        };
        if self.shared.sockets.is_closed() {
            let actions = connected.state.drain();
            self.perform(cx, &mut connected, actions);
        }
        Ok(connected)
    }

    async fn handle(
        &self,
        cx: &Context<SessionMessage>,
        message: SessionMessage,
        connected: &mut Connected,
    ) -> Result<(), ActorError> {
        let state = &mut connected.state;
        let actions = match message {
            SessionMessage::Received(frame) => {
                state.receive(*frame, Utc::now(), |token| verify(self.shared.tokens.as_ref(), token))
            }
            SessionMessage::MutationEnded(ended) => state.mutation_ended(ended),
            SessionMessage::Applied(mutations) => state.applied(&mutations),
            SessionMessage::SubscriptionsEnded(ended) => state.subscriptions_ended(&ended),
            SessionMessage::Reset => state.reset(),
            SessionMessage::Ring(alarm) => state.alarm(alarm, Utc::now()),
            SessionMessage::Drain => state.drain(),
            SessionMessage::Abandoned => state.abandon(),
            SessionMessage::Disconnected => disconnected(cx),
            SessionMessage::Describe(reply) => self.describe(connected, reply),
        };
        self.perform(cx, connected, actions);
        Ok(())
    }
}

fn disconnected(cx: &Context<SessionMessage>) -> Vec<Action> {
    cx.stop("the connection ended");
    Vec::new()
}

/// Subscribes. A query that the reactor does not take is answered as one that failed; a reactor that takes
/// none ends the connection.
fn subscribe(shared: &Shared, connected: &mut Connected, opened: Opened, invocation: Invocation) {
    let (id, version) = (opened.id, opened.version);
    if let Some(former) = opened.replaces {
        connected.client.unsubscribe(former);
    }
    connected.outlet.change(|pending| pending.open(opened));
    let (name, trace) = (Arc::clone(&invocation.name), invocation.trace);
    let Err(fault) = connected.client.subscribe(id, invocation, version) else { return };
    match fault.code() {
        Code::Overloaded | Code::Unavailable => {
            connected.outlet.end(End { code: CloseCode::Busy, fault: Some(fault) })
        }
        code => {
            if ends_subscription(code) {
                connected.state.forget(&[id]);
            }
            let result = QueryResult { version: Version(0), outcome: Err(fault), trace };
            result.log_error(loggable(shared, &name));
            connected.outlet.change(|pending| drop(pending.news.results.insert(id, Arc::new(result))));
        }
    }
}

/// The catalog's name, never one that a client has made up.
fn loggable<'a>(shared: &Shared, name: &'a str) -> &'a str {
    if shared.functions.catalog().get(name).is_some() { name } else { "unknown" }
}

/// What is not visible from outside must not be told apart by this answer, so the function room speaks for
/// it.
fn refuse_other_kinds(shared: &Shared, invocation: &Invocation) -> Option<Fault> {
    let meta = &shared.functions.catalog().get(&invocation.name)?.meta;
    let other = meta.access != Access::Internal && meta.kind != KindName::Mutation;
    other.then(|| {
        Fault::new(
            Code::MethodNotAllowed,
            "`mut` runs mutations; subscribe to queries, and call actions by POST /rpc",
        )
    })
}

fn authenticated(state: &State, result: &Result<(), Fault>) -> super::wire::TextFrame {
    let trace_id = crate::kernel::trace::TraceContext::new_root().trace_id_hex();
    let frame = match result {
        Ok(()) => Authenticated::Accepted {
            subject: state.signed().map(|signed| signed.identity.subject.as_str()),
            expires_at: state.signed().map(|signed| signed.expires_at),
        },
        Err(fault) => Authenticated::Refused { error: fault.wire(&trace_id) },
    };
    ServerFrame::Auth(frame).text()
}

fn verify(tokens: Option<&Tokens>, token: &str) -> Result<Signed, Fault> {
    let refused = |message| Fault::new(Code::Unauthenticated, message);
    let tokens = tokens.ok_or_else(|| refused("this server accepts no tokens: no secret is configured"))?;
    let identity = tokens.verify(token)?;
    let expires_at = identity.claims.get("exp").and_then(serde_json::Value::as_i64);
    let expires_at = expires_at
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .ok_or_else(|| refused("the token is not valid"))?;
    Ok(Signed { identity: Arc::new(identity), expires_at })
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
