//! The actor of one session: owns the socket's task, the reactor's client and the timers, and performs the
//! outputs that [`SessionState`] decides.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::client_state::OpenedSubscription;
use super::connection;
use super::frame::ClientFrame;
use super::messages::{CompletedMutation, SessionId, SessionMessage, SessionTimeout};
use super::render::{AuthReply, ServerFrame, mutation_result};
use super::send_buffer::SendBuffer;
use super::shared::SessionShared;
use super::socket::SessionSocket;
use super::state::{RemoteClient, SessionInput, SessionLimits, SessionOutput, SessionState, VerifiedToken};
use super::version_mismatch;
use super::wire::{CloseCode, TextFrame};
use crate::app::handler::Access;
use crate::app::kind::KindName;
use crate::app::token::Tokens;
use crate::kernel::byte_budget::BudgetClient;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::refusals::responses_full;
use crate::kernel::remedy;
use crate::kernel::trace::TraceContext;
use crate::reactor::{Client, MutationId, QueryResult, Sink, Version};
use crate::supervise::{Actor, ActorError, Context, Timer};
use crate::test_signals::{Step, announce};

/// Messages that wait for one session; more than a client's burst of frames.
const MESSAGES_MAX: usize = 4_096;

/// The connection of one client.
pub(super) struct SessionActor {
    id: SessionId,
    shared: Arc<SessionShared>,
    client: RemoteClient,
    /// Taken at the start. A session is never restarted, since its socket cannot be opened again.
    socket: Arc<MergeSlot<SessionSocket>>,
}

pub(super) struct LiveSession {
    state: SessionState,
    buffer: Arc<SendBuffer>,
    reactor_client: Client,
    /// The client's part of `gateway.responses_bytes_max`.
    responses: Arc<BudgetClient<IpAddr>>,
    /// Of `hello`, then of the token.
    timer: Option<Timer>,
    go_away_timer: Option<Timer>,
}

#[derive(Debug, thiserror::Error)]
#[error("the session has no socket: a session cannot be restarted")]
struct NoSocket;

impl SessionActor {
    pub(super) fn new(
        id: SessionId,
        shared: Arc<SessionShared>,
        client: RemoteClient,
        socket: Arc<MergeSlot<SessionSocket>>,
    ) -> Self {
        Self { id, shared, client, socket }
    }

    fn step(&self, cx: &Context<SessionMessage>, live: &mut LiveSession, input: SessionInput) {
        for output in live.state.step(input, Utc::now()) {
            self.perform(cx, live, output);
        }
    }

    fn receive(&self, cx: &Context<SessionMessage>, live: &mut LiveSession, frame: ClientFrame) {
        let input = SessionInput::from_frame(frame, |token| verify(self.shared.deps.tokens.as_ref(), token));
        self.step(cx, live, input);
    }

    fn perform(&self, cx: &Context<SessionMessage>, live: &mut LiveSession, output: SessionOutput) {
        match output {
            SessionOutput::Welcome => live.buffer.reply(self.welcome(&live.state)),
            SessionOutput::Authenticated(result) => live.buffer.reply(auth_reply(&live.state, &result)),
            SessionOutput::Pong(id) => live.buffer.reply(ServerFrame::Pong { id }.text()),
            SessionOutput::GoAway => live.buffer.reply(self.go_away()),
            SessionOutput::Subscribe(opened, invocation) => self.subscribe(cx, live, opened, *invocation),
            SessionOutput::Unsubscribe(id) => {
                live.reactor_client.unsubscribe(id);
                live.buffer.close_subscription(id);
            }
            SessionOutput::RunMutation(id, invocation) => {
                self.run_mutation(cx, &live.responses, id, *invocation);
            }
            SessionOutput::AwaitCommit(id, receipt) => {
                live.reactor_client.await_commit(MutationId(id), &receipt)
            }
            SessionOutput::MutationResult(completed) => {
                let frame = self.mutation_result(*completed, self.is_of_another_version(&live.state));
                let charge = live.responses.charge(frame.len());
                live.buffer.reply(frame.charged(charge));
            }
            SessionOutput::HoldResults(held) => self.hold_results(live, held),
            SessionOutput::SetTimer(timer) => {
                let start = |(timeout, after)| cx.send_after(after, SessionMessage::TimedOut(timeout));
                live.timer = timer.map(start);
            }
            SessionOutput::SetGoAwayTimer(after) => {
                let timeout = SessionMessage::TimedOut(SessionTimeout::GoAway);
                live.go_away_timer = Some(cx.send_after(after, timeout));
            }
            SessionOutput::Close(reason) => live.buffer.close(reason),
        }
    }

    fn hold_results(&self, live: &LiveSession, held: bool) {
        live.buffer.hold(held);
        if held {
            announce(Step::SessionHoldsResults, self.id);
        }
    }

    fn welcome(&self, state: &SessionState) -> TextFrame {
        let deps = &self.shared.deps;
        let frame = ServerFrame::Welcome {
            session: self.id.to_string(),
            node: deps.node.to_string(),
            contract: deps.contract.as_deref(),
            subject: state.token().map(|token| token.identity.subject.as_str()),
            expires_at: state.token().map(|token| token.expires_at),
            ping_ms: millis(deps.config.ping_interval),
        };
        frame.text()
    }

    fn go_away(&self) -> TextFrame {
        ServerFrame::GoAway { after_ms: millis(self.shared.deps.config.go_away_after) }.text()
    }

    /// Opens a subscription. A query that the reactor does not accept is answered with its error; a reactor
    /// that accepts no query closes the connection.
    fn subscribe(
        &self,
        cx: &Context<SessionMessage>,
        live: &mut LiveSession,
        opened: OpenedSubscription,
        invocation: Invocation,
    ) {
        let OpenedSubscription { id, version, replaces, .. } = opened;
        if let Some(former) = replaces {
            live.reactor_client.unsubscribe(former);
        }
        // Opened before the reactor is asked, which may deliver the result at once.
        live.buffer.open(opened);
        let (name, trace) = (Arc::clone(&invocation.name), invocation.trace);
        let Err(fault) = live.reactor_client.subscribe(id, invocation, version) else { return };
        let fault = match self.is_of_another_version(&live.state) {
            true => version_mismatch::of_subscription(fault),
            false => fault,
        };
        match fault.code() {
            Code::Overloaded | Code::Unavailable => {
                live.buffer.close(CloseCode::TryAgainLater.because(fault));
            }
            _ => {
                let refusal = QueryResult::uncounted(Version(0), Err(fault), trace);
                refusal.log_error(self.loggable_name(&name));
                let ended = refusal.ends_subscription();
                live.buffer.refuse_subscription(id, refusal);
                if ended {
                    self.step(cx, live, SessionInput::SubscriptionsEnded(vec![id]));
                }
            }
        }
    }

    /// Runs a mutation beside the actor. The function subsystem owns the call: a session that ends meanwhile
    /// does not end the mutation.
    fn run_mutation(
        &self,
        cx: &Context<SessionMessage>,
        responses: &BudgetClient<IpAddr>,
        id: u32,
        invocation: Invocation,
    ) {
        let refused = refuse_other_kinds(&self.shared, &invocation)
            // The client does not take the responses to earlier ones.
            .or_else(|| responses.full().map(responses_full));
        let (name, trace) = (Arc::clone(&invocation.name), invocation.trace);
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("mutation", async move {
            let (result, receipt) = match refused {
                Some(fault) => (Err(fault), Receipt::default()),
                None => shared.deps.functions.submit(invocation).await,
            };
            let completed = CompletedMutation { id, name, trace, result, receipt };
            SessionMessage::MutationCompleted(Box::new(completed))
        });
    }

    fn is_of_another_version(&self, state: &SessionState) -> bool {
        state.is_of_another_version(self.shared.deps.contract.as_deref())
    }

    fn mutation_result(&self, mut completed: CompletedMutation, is_of_another_version: bool) -> TextFrame {
        if is_of_another_version {
            let is_known = self.shared.deps.functions.catalog().get(&completed.name).is_some();
            completed.result =
                completed.result.map_err(|fault| version_mismatch::of_mutation(fault, is_known));
        }
        let trace_id = completed.trace.trace_id_hex();
        self.log(&completed, &trace_id);
        let bytes_max = self.shared.deps.config.result_bytes_max;
        if completed.result.as_ref().is_ok_and(|data| data.len() > bytes_max) {
            let message = format!(
                "the mutation is committed; its result is too large: a result that is sent to a client has \
                 at most {bytes_max} bytes"
            );
            completed.result = Err(Fault::new(Code::PayloadTooLarge, message)
                .with_details(serde_json::json!({ "bytesMax": bytes_max })));
        }
        mutation_result(completed.id, &completed.result, &trace_id)
    }

    /// Logs a mutation as a call over HTTP is logged: a success at debug, an error too, but the first error
    /// of each code in a second at info.
    fn log(&self, completed: &CompletedMutation, trace_id: &str) {
        let handler = self.loggable_name(&completed.name);
        match &completed.result {
            Ok(_) => tracing::debug!(handler, trace_id, "mutation answered"),
            Err(fault) => {
                fault.log_cause(handler, trace_id);
                let code = fault.code().name();
                match self.shared.sampler.sample(code, chrono::Utc::now().timestamp()) {
                    Some(suppressed) => {
                        tracing::info!(
                            handler,
                            trace_id,
                            code,
                            suppressed,
                            "mutation answered with an error"
                        );
                    }
                    None => tracing::debug!(handler, trace_id, code, "mutation answered with an error"),
                }
            }
        }
    }

    /// The name as the catalog has it. A name that the client made up is not logged.
    fn loggable_name<'a>(&self, name: &'a str) -> &'a str {
        if self.shared.deps.functions.catalog().get(name).is_some() { name } else { "unknown" }
    }
}

impl Actor for SessionActor {
    type Message = SessionMessage;
    type State = LiveSession;
    const KIND: &'static str = "session";
    const MAILBOX_MAX: usize = MESSAGES_MAX;

    async fn start(&self, cx: &Context<SessionMessage>) -> Result<LiveSession, ActorError> {
        let socket = self.socket.try_take().ok_or(NoSocket)?;
        let deps = &self.shared.deps;
        let limits = SessionLimits {
            subscriptions_max: deps.config.subscriptions_max,
            mutations_waiting_max: deps.config.mutations_waiting_max,
            hello_timeout: deps.config.hello_timeout,
            go_away_after: deps.config.go_away_after,
        };
        let signals = Arc::clone(&self.shared.signals);
        let buffer = Arc::new(SendBuffer::new(cx.address(), signals, deps.config.result_bytes_max));
        let reactor_client = deps.reactor.attach(Arc::clone(&buffer) as Arc<dyn Sink>);
        let responses = Arc::clone(&socket.responses);
        cx.spawn_message("socket", connection::serve(socket, Arc::clone(&buffer)));
        let hello_timeout = SessionMessage::TimedOut(SessionTimeout::Hello);
        let mut live = LiveSession {
            state: SessionState::new(self.client.clone(), limits),
            buffer,
            reactor_client,
            responses,
            timer: Some(cx.send_after(deps.config.hello_timeout, hello_timeout)),
            go_away_timer: None,
        };
        // The message `Drain` went to the sessions that had started before.
        if self.shared.sockets.is_closed() {
            self.step(cx, &mut live, SessionInput::Drain);
        }
        Ok(live)
    }

    async fn handle(
        &self,
        cx: &Context<SessionMessage>,
        message: SessionMessage,
        live: &mut LiveSession,
    ) -> Result<(), ActorError> {
        use SessionMessage as Message;
        match message {
            Message::Received(frame) => self.receive(cx, live, *frame),
            Message::MutationCompleted(completed) => {
                self.step(cx, live, SessionInput::MutationCompleted(completed));
            }
            Message::MutationsApplied(applied) => {
                self.step(cx, live, SessionInput::MutationsApplied(applied));
            }
            Message::SubscriptionsEnded(ended) => {
                self.step(cx, live, SessionInput::SubscriptionsEnded(ended));
            }
            Message::ReactorRestarted => self.step(cx, live, SessionInput::ReactorRestarted),
            Message::ReactorLost => self.step(cx, live, SessionInput::ReactorLost),
            Message::TimedOut(timeout) => self.step(cx, live, SessionInput::TimedOut(timeout)),
            Message::Drain => self.step(cx, live, SessionInput::Drain),
            Message::Disconnected => cx.stop("the connection ended"),
        }
        Ok(())
    }
}

/// Refuses functions that are no mutations. A function that is not visible from outside must be answered like
/// one that does not exist, so both are left to the function subsystem.
fn refuse_other_kinds(shared: &SessionShared, invocation: &Invocation) -> Option<Fault> {
    let meta = &shared.deps.functions.catalog().get(&invocation.name)?.meta;
    let is_other_kind = meta.access != Access::Internal && meta.kind() != KindName::Mutation;
    let message = "`mut` runs mutations; subscribe to queries, and call actions by POST /rpc";
    is_other_kind.then(|| Fault::new(Code::MethodNotAllowed, message))
}

fn auth_reply(state: &SessionState, result: &Result<(), Fault>) -> TextFrame {
    let trace_id = TraceContext::new_root().trace_id_hex();
    let reply = match result {
        Ok(()) => AuthReply::Accepted {
            subject: state.token().map(|token| token.identity.subject.as_str()),
            expires_at: state.token().map(|token| token.expires_at),
        },
        Err(fault) => AuthReply::Refused { error: fault.wire(&trace_id) },
    };
    ServerFrame::Auth(reply).text()
}

fn verify(tokens: Option<&Tokens>, token: &str) -> Result<VerifiedToken, Fault> {
    let refused = |message, help| Fault::new(Code::Unauthenticated, message).with_help(help);
    let no_secret = || refused("this server accepts no tokens: no secret is configured", remedy::SECRET);
    let tokens = tokens.ok_or_else(no_secret)?;
    let identity = tokens.verify(token)?;
    let expires_at = identity.claims.get("exp").and_then(serde_json::Value::as_i64);
    let expires_at = expires_at
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .ok_or_else(|| refused("the token is not valid", remedy::TOKEN))?;
    Ok(VerifiedToken { identity: Arc::new(identity), expires_at })
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
