//! The state machine: frames and events in, actions out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use serde_json::json;

use crate::kernel::commit::{Receipt, Xid};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::idempotency_key::IdempotencyKey;
use crate::kernel::invocation::Identity;
use crate::kernel::time::{Timestamp, millis, secs};
use crate::kernel::trace::TraceContext;
use crate::reactor::{MutationId, SubscriptionId, Version};
use crate::session::frame::{ClientFrame, Mutation};
use crate::session::state::{Action, Alarm, Ended, Limits, Peer, Signed, State};
use crate::session::wire::CloseCode;

const LIMITS: Limits = Limits {
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
fn verify(token: &str) -> Result<Signed, Fault> {
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
    Ok(Signed { identity: Arc::new(identity), expires_at: at(expiry) })
}

struct Session(State);

impl Session {
    fn new() -> Self {
        Self(State::new(Peer { ip: [10, 0, 0, 1].into(), user_agent: None }, LIMITS))
    }

    /// A session that said `hello`.
    fn greeted(token: Option<&str>) -> Self {
        let mut session = Self::new();
        let actions =
            session.receive(0, ClientFrame::Hello { contract: None, token: token.map(str::to_owned) });
        assert!(matches!(actions.as_slice(), [Action::Alarm(_), Action::Welcome]), "{actions:?}");
        session
    }

    fn receive(&mut self, seconds: i64, frame: ClientFrame) -> Vec<Action> {
        self.0.receive(frame, at(seconds), verify)
    }

    /// Subscribes; the inner id and the subject of the caller.
    fn subscribe(&mut self, id: u32) -> (SubscriptionId, Option<String>) {
        let frame =
            ClientFrame::Subscribe { id, name: "a.b".into(), args: Bytes::from_static(b"{}"), version: None };
        match self.receive(1, frame).as_slice() {
            [Action::Subscribe(opened, invocation)] => {
                assert_eq!((opened.wire, opened.replaces), (id, None));
                (opened.id, invocation.caller.identity.as_ref().map(|identity| identity.subject.clone()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn mutate(&mut self, id: u32) -> Vec<Action> {
        self.receive(1, mutation(id))
    }

    fn ended(&mut self, id: u32, outcome: Result<Bytes, Fault>) -> Vec<Action> {
        let receipt = Receipt { xid: Some(Xid(u64::from(id))), ..Receipt::default() };
        self.0.mutation_ended(Box::new(Ended {
            id,
            name: "a.b".into(),
            trace: TraceContext::new_root(),
            outcome,
            receipt,
        }))
    }
}

fn mutation(id: u32) -> ClientFrame {
    let trace = TraceContext::new_root();
    ClientFrame::Mutate(Mutation {
        id,
        name: "a.b".into(),
        args: Bytes::from_static(b"{}"),
        idempotency_key: Some("k".parse().expect("a key")),
        trace,
    })
}

fn auth(token: Option<&str>) -> ClientFrame {
    ClientFrame::Authenticate { token: token.map(str::to_owned) }
}

#[track_caller]
fn ends(actions: &[Action], code: CloseCode) {
    assert!(matches!(actions, [Action::End(end)] if end.code == code), "{actions:?}");
}

#[test]
fn hello_comes_first_and_once() {
    for frame in [mutation(1), auth(None), ClientFrame::Ping { id: 1 }, ClientFrame::Unsubscribe { id: 1 }] {
        ends(&Session::new().receive(0, frame), CloseCode::RuleBroken);
    }
    let hello = || ClientFrame::Hello { contract: None, token: None };
    ends(&Session::greeted(None).receive(1, hello()), CloseCode::RuleBroken);
    ends(&Session::new().0.alarm(Alarm::HelloOverdue, at(5)), CloseCode::RuleBroken);
}

#[test]
fn a_token_that_is_not_accepted_ends_the_greeting() {
    for token in ["nonsense", "ana/0", "ana/-5"] {
        let frame = ClientFrame::Hello { contract: None, token: Some(token.to_owned()) };
        ends(&Session::new().receive(0, frame), CloseCode::TokenExpired);
    }
}

#[test]
fn subscriptions_are_counted_and_told_apart() {
    let mut session = Session::greeted(None);
    let (first, caller) = session.subscribe(7);
    assert_eq!(caller, None);
    let again = ClientFrame::Subscribe { id: 7, name: "a.b".into(), args: Bytes::new(), version: None };
    ends(&session.receive(1, again), CloseCode::RuleBroken);
    let actions = session.receive(1, ClientFrame::Unsubscribe { id: 7 });
    assert!(matches!(actions.as_slice(), [Action::Unsubscribe(id)] if *id == first), "{actions:?}");
    assert!(
        session.receive(1, ClientFrame::Unsubscribe { id: 7 }).is_empty(),
        "the server may have ended it first"
    );
    let (second, _) = session.subscribe(7);
    assert_ne!(first, second, "a number that comes again is another subscription");
    session.0.subscriptions_ended(&[first]);
    assert_eq!(session.0.subscriptions(), 1, "the end of the former one is not its end");
    session.0.subscriptions_ended(&[second]);
    session.subscribe(7);
    session.subscribe(8);
    let third = ClientFrame::Subscribe { id: 9, name: "a.b".into(), args: Bytes::new(), version: None };
    ends(&session.receive(1, third), CloseCode::RuleBroken);
}

#[test]
fn another_caller_gets_subscriptions_of_its_own() {
    let mut session = Session::greeted(Some("ana/100"));
    let (mut former, caller) = session.subscribe(7);
    assert_eq!(caller.as_deref(), Some("ana"));
    // A newer token of the same caller changes nothing.
    let actions = session.receive(50, auth(Some("ana/200")));
    let expected = "[Alarm(Some((TokenExpired, 150s))), Hold(true), Authenticated(Ok(())), Hold(false)]";
    assert_eq!(format!("{actions:?}"), expected);
    for (token, subject) in
        [(Some("ana/200/editor"), Some("ana")), (Some("bob/200"), Some("bob")), (None, None)]
    {
        let actions = session.receive(50, auth(token));
        let [Action::Alarm(_), Action::Hold(true), Action::Subscribe(opened, invocation), rest @ ..] =
            actions.as_slice()
        else {
            panic!("{actions:?}")
        };
        assert!(matches!(rest, [Action::Authenticated(Ok(())), Action::Hold(false)]), "{rest:?}");
        assert_eq!((opened.replaces, opened.wire), (Some(former), 7));
        assert_ne!(opened.id, former);
        former = opened.id;
        assert_eq!(invocation.caller.identity.as_ref().map(|identity| identity.subject.as_str()), subject);
    }
    let actions = session.receive(50, auth(Some("nonsense")));
    assert!(matches!(actions.as_slice(), [Action::Authenticated(Err(_))]), "{actions:?}");
    assert!(session.0.signed().is_none(), "a refused token leaves everything as it was");
}

#[test]
fn nothing_is_told_after_a_token_expired() {
    let mut session = Session::greeted(Some("ana/10"));
    session.subscribe(7);
    let early = session.0.alarm(Alarm::TokenExpired, at(9));
    assert_eq!(format!("{early:?}"), "[Alarm(Some((TokenExpired, 1s)))]", "the timer's clock ran ahead");
    let expired = session.0.alarm(Alarm::TokenExpired, at(10));
    assert_eq!(format!("{expired:?}"), "[Hold(true), Alarm(Some((GraceOver, 5s)))]");
    ends(&session.0.alarm(Alarm::GraceOver, at(15)), CloseCode::TokenExpired);
    // Another token in time lets the same caller go on.
    let actions = session.receive(12, auth(Some("ana/100")));
    let expected = "[Alarm(Some((TokenExpired, 88s))), Hold(true), Authenticated(Ok(())), Hold(false)]";
    assert_eq!(format!("{actions:?}"), expected);
}

#[test]
fn mutations_wait_for_the_next_token() {
    let sent_before_and_after = || {
        let mut session = Session::greeted(Some("ana/10"));
        session.mutate(1);
        session.mutate(2);
        session.0.alarm(Alarm::TokenExpired, at(10));
        let ended = session.ended(1, Ok(Bytes::new()));
        assert!(!ended.iter().any(|action| matches!(action, Action::Run(..))), "{ended:?}");
        assert!(session.mutate(3).is_empty());
        session
    };
    let subject = |actions: &[Action]| match actions.last() {
        Some(Action::Run(_, invocation)) => {
            invocation.caller.identity.as_ref().map(|identity| identity.subject.clone())
        }
        _ => panic!("{actions:?}"),
    };
    let mut session = sent_before_and_after();
    assert_eq!(subject(&session.receive(12, auth(Some("ana/100")))).as_deref(), Some("ana"));
    assert_eq!(subject(&session.ended(2, Ok(Bytes::new()))).as_deref(), Some("ana"));
    // What ana sent is not done in another's name, nor in hers any more.
    let mut session = sent_before_and_after();
    assert_eq!(subject(&session.receive(12, auth(Some("ben/100")))), None);
}

#[test]
fn mutations_run_in_order() {
    let mut session = Session::greeted(Some("ana/100"));
    let actions = session.mutate(1);
    let [Action::Run(1, invocation)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(invocation.idempotency_key.as_ref().map(IdempotencyKey::as_str), Some("k"));
    assert!(session.mutate(2).is_empty(), "it waits");
    ends(&session.mutate(2), CloseCode::RuleBroken);
    assert!(session.mutate(3).is_empty(), "it waits");
    let refused = session.mutate(4);
    assert!(
        matches!(refused.as_slice(), [Action::Result(ended)] if ended.outcome.as_ref().is_err_and(|fault| fault.code() == Code::Overloaded))
    );
    let actions = session.ended(1, Ok(Bytes::new()));
    let [Action::Await(1, receipt), Action::Result(_), Action::Run(2, _)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(receipt.xid, Some(Xid(1)));
    ends(&session.mutate(1), CloseCode::RuleBroken);
    let actions = session.ended(2, Err(Fault::new(Code::Conflict, "as asked")));
    assert!(
        matches!(actions.as_slice(), [Action::Result(_), Action::Run(3, _)]),
        "a failed one is not awaited: {actions:?}"
    );
    session.0.applied(&[MutationId(1)]);
    assert!(session.mutate(1).is_empty(), "its number is free again");
}

#[test]
fn commits_that_nobody_has_seen_are_bounded() {
    let mut session = Session::greeted(None);
    for id in [1, 2] {
        session.mutate(id);
        session.ended(id, Ok(Bytes::new()));
    }
    let refused = session.mutate(3);
    assert!(matches!(refused.as_slice(), [Action::Result(ended)] if ended.outcome.is_err()), "{refused:?}");
    session.0.applied(&[MutationId(1), MutationId(2)]);
    assert!(matches!(session.mutate(3).as_slice(), [Action::Run(3, _)]));
}

#[test]
fn a_drain_waits_for_what_runs() {
    let mut session = Session::greeted(None);
    session.mutate(1);
    session.mutate(2);
    let told = session.0.drain();
    assert!(
        matches!(told.as_slice(), [Action::GoAway, Action::LeaveAfter(after)] if *after == Duration::from_millis(1_500)),
        "{told:?}"
    );
    session.subscribe(7);
    assert!(session.0.alarm(Alarm::Leave, at(2)).is_empty(), "mutations run");
    assert!(session.0.drain().is_empty(), "it was told");
    let refused = session.mutate(3);
    assert!(
        matches!(refused.as_slice(), [Action::Result(ended)] if ended.outcome.as_ref().is_err_and(|fault| fault.code() == Code::Unavailable))
    );
    session.ended(1, Ok(Bytes::new()));
    let last = session.ended(2, Ok(Bytes::new()));
    assert!(matches!(last.last(), Some(Action::End(end)) if end.code == CloseCode::GoingAway), "{last:?}");
    ends(&Session::greeted(None).0.alarm(Alarm::Leave, at(2)), CloseCode::GoingAway);
}

#[test]
fn a_reactor_that_forgot_is_told_everything_again() {
    let mut session = Session::greeted(None);
    let (first, _) = session.subscribe(7);
    let actions = session.0.reset();
    let [Action::Subscribe(opened, _)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((opened.replaces, opened.wire), (Some(first), 7));
}

#[test]
fn what_is_subscribed_after_an_expiry_waits_for_the_next_token() {
    let mut session = Session::greeted(Some("ana/10"));
    let (first, _) = session.subscribe(7);
    session.0.alarm(Alarm::TokenExpired, at(10));
    let frame =
        ClientFrame::Subscribe { id: 8, name: "a.b".into(), args: Bytes::new(), version: Some(Version(5)) };
    assert!(session.receive(11, frame).is_empty(), "as nobody it would be refused, and end");
    assert!(session.0.reset().is_empty(), "neither is what was there made as nobody");
    let actions = session.receive(12, auth(Some("ana/100")));
    let [_, Action::Hold(true), Action::Subscribe(seven, caller), Action::Subscribe(eight, _), ..] =
        actions.as_slice()
    else {
        panic!("{actions:?}")
    };
    assert_eq!((seven.wire, seven.replaces), (7, Some(first)));
    assert_eq!(
        (eight.wire, eight.replaces, eight.version),
        (8, None, Some(Version(5))),
        "the version it named still counts"
    );
    assert_eq!(caller.caller.identity.as_ref().map(|identity| identity.subject.as_str()), Some("ana"));
    let again = session.receive(13, auth(Some("ana/200")));
    assert!(!again.iter().any(|action| matches!(action, Action::Subscribe(..))), "once is enough: {again:?}");
}
