//! The state of a session: inputs in, outputs out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use serde_json::json;

use crate::kernel::commit::{Receipt, Xid};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::idempotency_key::{IdempotencyKey, InvalidIdempotencyKey};
use crate::kernel::invocation::Identity;
use crate::kernel::time::{Timestamp, millis, secs};
use crate::kernel::trace::TraceContext;
use crate::reactor::{MutationId, SubscriptionId, Version};
use crate::session::frame::{ClientFrame, MutationRequest, SubscribeRequest};
use crate::session::messages::{CompletedMutation, SessionTimeout};
use crate::session::state::{
    RemoteClient, SessionInput, SessionLimits, SessionOutput, SessionState, VerifiedToken,
};
use crate::session::wire::CloseCode;

const LIMITS: SessionLimits = SessionLimits {
    subscriptions_max: 2,
    mutations_waiting_max: 2,
    hello_timeout: secs(5),
    go_away_after: millis(1_500),
};

/// Seconds on the test's clock.
fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a moment")
}

/// Tokens of the form `subject/expiry`, or with a role `subject/expiry/role`.
fn verify(token: &str) -> Result<VerifiedToken, Fault> {
    let mut parts = token.split('/');
    let (subject, expiry) =
        (parts.next().unwrap_or_default(), parts.next().and_then(|part| part.parse().ok()));
    let expiry: i64 = expiry.ok_or_else(|| Fault::new(Code::Unauthenticated, "the token is not valid"))?;
    let claims = json!({ "sub": subject, "exp": expiry }).as_object().cloned().unwrap_or_default();
    let identity = Identity {
        subject: subject.to_owned(),
        roles: parts.map(str::to_owned).collect(),
        tenant: None,
        claims,
    };
    Ok(VerifiedToken { identity: Arc::new(identity), expires_at: at(expiry) })
}

struct Session(SessionState);

impl Session {
    fn new() -> Self {
        Self(SessionState::new(RemoteClient { ip: [10, 0, 0, 1].into(), user_agent: None }, LIMITS))
    }

    /// A session that said `hello`.
    fn greeted(token: Option<&str>) -> Self {
        let mut session = Self::new();
        let outputs =
            session.receive(0, ClientFrame::Hello { contract: None, token: token.map(str::to_owned) });
        assert!(
            matches!(outputs.as_slice(), [SessionOutput::SetTimer(_), SessionOutput::Welcome]),
            "{outputs:?}"
        );
        session
    }

    fn receive(&mut self, seconds: i64, frame: ClientFrame) -> Vec<SessionOutput> {
        self.0.step(SessionInput::from_frame(frame, verify), at(seconds))
    }

    fn step(&mut self, seconds: i64, input: SessionInput) -> Vec<SessionOutput> {
        self.0.step(input, at(seconds))
    }

    fn timed_out(&mut self, seconds: i64, timeout: SessionTimeout) -> Vec<SessionOutput> {
        self.step(seconds, SessionInput::TimedOut(timeout))
    }

    /// Subscribes; the inner id and the subject of the caller.
    fn subscribe(&mut self, id: u32) -> (SubscriptionId, Option<String>) {
        match self.receive(1, subscription(id, None)).as_slice() {
            [SessionOutput::Subscribe(opened, invocation)] => {
                assert_eq!((opened.client_subscription, opened.replaces), (id, None));
                (opened.id, invocation.caller.identity.as_ref().map(|identity| identity.subject.clone()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn mutate(&mut self, id: u32) -> Vec<SessionOutput> {
        self.receive(1, mutation(id))
    }

    fn completed(&mut self, id: u32, result: Result<Bytes, Fault>) -> Vec<SessionOutput> {
        let receipt = Receipt { xid: Some(Xid(u64::from(id))), ..Receipt::default() };
        let trace = TraceContext::new_root();
        let completed = CompletedMutation { id, name: "a.b".into(), trace, result, receipt };
        self.step(1, SessionInput::MutationCompleted(Box::new(completed)))
    }
}

fn mutation(id: u32) -> ClientFrame {
    let trace = TraceContext::new_root();
    ClientFrame::Mutate(MutationRequest {
        id,
        name: "a.b".into(),
        args: Bytes::from_static(b"{}"),
        idempotency_key: Ok(Some("k".parse().expect("a key"))),
        trace,
    })
}

fn subscription(id: u32, version: Option<Version>) -> ClientFrame {
    let args = Bytes::from_static(b"{}");
    ClientFrame::Subscribe(SubscribeRequest { id, name: "a.b".into(), args, version })
}

fn auth(token: Option<&str>) -> ClientFrame {
    ClientFrame::Authenticate { token: token.map(str::to_owned) }
}

#[track_caller]
fn closes(outputs: &[SessionOutput], code: CloseCode) {
    assert!(matches!(outputs, [SessionOutput::Close(reason)] if reason.code == code), "{outputs:?}");
}

/// True when the only output is a mutation's failure with this code.
fn is_refused(outputs: &[SessionOutput], code: Code) -> bool {
    let [SessionOutput::MutationResult(completed)] = outputs else { return false };
    completed.result.as_ref().is_err_and(|fault| fault.code() == code)
}

#[test]
fn hello_comes_first_and_once() {
    for frame in [mutation(1), auth(None), ClientFrame::Ping { id: 1 }, ClientFrame::Unsubscribe { id: 1 }] {
        closes(&Session::new().receive(0, frame), CloseCode::PolicyViolation);
    }
    let hello = || ClientFrame::Hello { contract: None, token: None };
    closes(&Session::greeted(None).receive(1, hello()), CloseCode::PolicyViolation);
    closes(&Session::new().timed_out(5, SessionTimeout::Hello), CloseCode::PolicyViolation);
}

#[test]
fn a_client_of_another_contract_is_recognised() {
    let check = |contract: Option<&str>, own: Option<&str>, expected: bool| {
        let mut session = Session::new();
        session.receive(0, ClientFrame::Hello { contract: contract.map(str::to_owned), token: None });
        assert_eq!(session.0.is_of_another_version(own), expected, "{contract:?}, {own:?}");
    };
    check(Some("a"), Some("a"), false);
    check(Some("a"), Some("b"), true);
    check(None, Some("b"), false);
    check(Some("a"), None, false);
}

#[test]
fn a_token_that_is_not_accepted_ends_the_greeting() {
    for token in ["nonsense", "ana/0", "ana/-5"] {
        let frame = ClientFrame::Hello { contract: None, token: Some(token.to_owned()) };
        closes(&Session::new().receive(0, frame), CloseCode::TokenExpired);
    }
}

#[test]
fn subscriptions_are_limited_and_have_ids_of_their_own() {
    let mut session = Session::greeted(None);
    let (first, caller) = session.subscribe(7);
    assert_eq!(caller, None);
    let again = subscription(7, None);
    closes(&session.receive(1, again), CloseCode::PolicyViolation);
    let outputs = session.receive(1, ClientFrame::Unsubscribe { id: 7 });
    assert!(matches!(outputs.as_slice(), [SessionOutput::Unsubscribe(id)] if *id == first), "{outputs:?}");
    assert!(
        session.receive(1, ClientFrame::Unsubscribe { id: 7 }).is_empty(),
        "the server may have ended it first"
    );
    let (second, _) = session.subscribe(7);
    assert_ne!(first, second, "the same number of the client is another subscription");
    session.step(1, SessionInput::SubscriptionsEnded(vec![first]));
    assert_eq!(session.0.subscriptions(), 1, "the end of the former subscription does not end the new one");
    session.step(1, SessionInput::SubscriptionsEnded(vec![second]));
    session.subscribe(7);
    session.subscribe(8);
    let third = subscription(9, None);
    closes(&session.receive(1, third), CloseCode::PolicyViolation);
}

#[test]
fn another_caller_gets_subscriptions_of_its_own() {
    let mut session = Session::greeted(Some("ana/100"));
    let (mut former, caller) = session.subscribe(7);
    assert_eq!(caller.as_deref(), Some("ana"));
    // A newer token of the same caller changes nothing.
    let outputs = session.receive(50, auth(Some("ana/200")));
    let expected =
        "[SetTimer(Some((Token, 150s))), HoldResults(true), Authenticated(Ok(())), HoldResults(false)]";
    assert_eq!(format!("{outputs:?}"), expected);
    for (token, subject) in
        [(Some("ana/200/editor"), Some("ana")), (Some("bob/200"), Some("bob")), (None, None)]
    {
        let outputs = session.receive(50, auth(token));
        let [
            SessionOutput::SetTimer(_),
            SessionOutput::HoldResults(true),
            SessionOutput::Subscribe(opened, invocation),
            rest @ ..,
        ] = outputs.as_slice()
        else {
            panic!("{outputs:?}")
        };
        assert!(
            matches!(rest, [SessionOutput::Authenticated(Ok(())), SessionOutput::HoldResults(false)]),
            "{rest:?}"
        );
        assert_eq!((opened.replaces, opened.client_subscription), (Some(former), 7));
        assert_ne!(opened.id, former);
        former = opened.id;
        assert_eq!(invocation.caller.identity.as_ref().map(|identity| identity.subject.as_str()), subject);
    }
    let outputs = session.receive(50, auth(Some("nonsense")));
    assert!(matches!(outputs.as_slice(), [SessionOutput::Authenticated(Err(_))]), "{outputs:?}");
    assert!(session.0.token().is_none(), "a refused token leaves everything as it was");
}

#[test]
fn results_are_held_after_a_token_expired() {
    let mut session = Session::greeted(Some("ana/10"));
    session.subscribe(7);
    let early = session.timed_out(9, SessionTimeout::Token);
    assert_eq!(format!("{early:?}"), "[SetTimer(Some((Token, 1s)))]", "the clock of timers ran ahead");
    let expired = session.timed_out(10, SessionTimeout::Token);
    assert_eq!(format!("{expired:?}"), "[HoldResults(true), SetTimer(Some((TokenGrace, 5s)))]");
    closes(&session.timed_out(15, SessionTimeout::TokenGrace), CloseCode::TokenExpired);
    // Another token in time lets the same caller go on.
    let outputs = session.receive(12, auth(Some("ana/100")));
    let expected =
        "[SetTimer(Some((Token, 88s))), HoldResults(true), Authenticated(Ok(())), HoldResults(false)]";
    assert_eq!(format!("{outputs:?}"), expected);
}

#[test]
fn mutations_wait_for_the_next_token() {
    let sent_before_and_after = || {
        let mut session = Session::greeted(Some("ana/10"));
        session.mutate(1);
        session.mutate(2);
        session.timed_out(10, SessionTimeout::Token);
        let ended = session.completed(1, Ok(Bytes::new()));
        assert!(!ended.iter().any(|output| matches!(output, SessionOutput::RunMutation(..))), "{ended:?}");
        assert!(session.mutate(3).is_empty());
        session
    };
    let subject = |outputs: &[SessionOutput]| match outputs.last() {
        Some(SessionOutput::RunMutation(_, invocation)) => {
            invocation.caller.identity.as_ref().map(|identity| identity.subject.clone())
        }
        _ => panic!("{outputs:?}"),
    };
    let mut session = sent_before_and_after();
    assert_eq!(subject(&session.receive(12, auth(Some("ana/100")))).as_deref(), Some("ana"));
    assert_eq!(subject(&session.completed(2, Ok(Bytes::new()))).as_deref(), Some("ana"));
    // The mutation that ana sent runs neither as ben nor as ana, whose token has expired.
    let mut session = sent_before_and_after();
    assert_eq!(subject(&session.receive(12, auth(Some("ben/100")))), None);
}

#[test]
fn an_invalid_idempotency_key_refuses_its_mutation_only() {
    let mut session = Session::greeted(Some("ana/100"));
    let ClientFrame::Mutate(request) = mutation(1) else { panic!("it is a mutation") };
    let request = MutationRequest { idempotency_key: Err(InvalidIdempotencyKey), ..request };
    assert!(is_refused(&session.receive(1, ClientFrame::Mutate(request)), Code::BadRequest));
    assert!(matches!(session.mutate(1).as_slice(), [SessionOutput::RunMutation(1, _)]), "the number is free");
}

#[test]
fn mutations_run_in_order() {
    let mut session = Session::greeted(Some("ana/100"));
    let outputs = session.mutate(1);
    let [SessionOutput::RunMutation(1, invocation)] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(invocation.idempotency_key.as_ref().map(IdempotencyKey::as_str), Some("k"));
    assert!(session.mutate(2).is_empty(), "it waits");
    closes(&session.mutate(2), CloseCode::PolicyViolation);
    assert!(session.mutate(3).is_empty(), "it waits");
    let refused = session.mutate(4);
    assert!(is_refused(&refused, Code::Overloaded));
    let outputs = session.completed(1, Ok(Bytes::new()));
    let [
        SessionOutput::AwaitCommit(1, receipt),
        SessionOutput::MutationResult(_),
        SessionOutput::RunMutation(2, _),
    ] = outputs.as_slice()
    else {
        panic!("{outputs:?}")
    };
    assert_eq!(receipt.xid, Some(Xid(1)));
    closes(&session.mutate(1), CloseCode::PolicyViolation);
    let outputs = session.completed(2, Err(Fault::new(Code::Conflict, "as asked")));
    assert!(
        matches!(outputs.as_slice(), [SessionOutput::MutationResult(_), SessionOutput::RunMutation(3, _)]),
        "a failed one is not awaited: {outputs:?}"
    );
    session.step(1, SessionInput::MutationsApplied([MutationId(1)].into()));
    assert!(session.mutate(1).is_empty(), "the number is free again");
}

#[test]
fn commits_that_are_not_applied_yet_are_limited() {
    let mut session = Session::greeted(None);
    for id in [1, 2] {
        session.mutate(id);
        session.completed(id, Ok(Bytes::new()));
    }
    let refused = session.mutate(3);
    assert!(
        matches!(refused.as_slice(), [SessionOutput::MutationResult(completed)] if completed.result.is_err()),
        "{refused:?}"
    );
    session.step(1, SessionInput::MutationsApplied([MutationId(1), MutationId(2)].into()));
    assert!(matches!(session.mutate(3).as_slice(), [SessionOutput::RunMutation(3, _)]));
}

#[test]
fn a_drain_waits_for_running_mutations() {
    let mut session = Session::greeted(None);
    session.mutate(1);
    session.mutate(2);
    let outputs = session.step(1, SessionInput::Drain);
    assert!(
        matches!(outputs.as_slice(), [SessionOutput::GoAway, SessionOutput::SetGoAwayTimer(after)] if *after == Duration::from_millis(1_500)),
        "{outputs:?}"
    );
    session.subscribe(7);
    assert!(session.timed_out(2, SessionTimeout::GoAway).is_empty(), "mutations run");
    assert!(session.step(1, SessionInput::Drain).is_empty(), "`goAway` was sent");
    let refused = session.mutate(3);
    assert!(is_refused(&refused, Code::Unavailable));
    session.completed(1, Ok(Bytes::new()));
    let last = session.completed(2, Ok(Bytes::new()));
    assert!(
        matches!(last.last(), Some(SessionOutput::Close(reason)) if reason.code == CloseCode::GoingAway),
        "{last:?}"
    );
    closes(&Session::greeted(None).timed_out(2, SessionTimeout::GoAway), CloseCode::GoingAway);
}

#[test]
fn subscriptions_are_reopened_when_the_reactor_restarted() {
    let mut session = Session::greeted(None);
    let (first, _) = session.subscribe(7);
    let outputs = session.step(11, SessionInput::ReactorRestarted);
    let [SessionOutput::Subscribe(opened, _)] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!((opened.replaces, opened.client_subscription), (Some(first), 7));
}

#[test]
fn a_subscription_made_after_an_expiry_waits_for_the_next_token() {
    let mut session = Session::greeted(Some("ana/10"));
    let (first, _) = session.subscribe(7);
    session.timed_out(10, SessionTimeout::Token);
    let frame = subscription(8, Some(Version(5)));
    assert!(session.receive(11, frame).is_empty(), "for an anonymous caller the reactor would end it");
    assert!(
        session.step(11, SessionInput::ReactorRestarted).is_empty(),
        "nor are the others reopened for an anonymous caller"
    );
    let outputs = session.receive(12, auth(Some("ana/100")));
    let [
        _,
        SessionOutput::HoldResults(true),
        SessionOutput::Subscribe(seven, caller),
        SessionOutput::Subscribe(eight, _),
        ..,
    ] = outputs.as_slice()
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((seven.client_subscription, seven.replaces), (7, Some(first)));
    assert_eq!(
        (eight.client_subscription, eight.replaces, eight.version),
        (8, None, Some(Version(5))),
        "the version that the client has still counts"
    );
    assert_eq!(caller.caller.identity.as_ref().map(|identity| identity.subject.as_str()), Some("ana"));
    let again = session.receive(13, auth(Some("ana/200")));
    assert!(
        !again.iter().any(|output| matches!(output, SessionOutput::Subscribe(..))),
        "the subscriptions are open already: {again:?}"
    );
}
