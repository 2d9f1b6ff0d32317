use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::kernel::commit::{TableId, Xid};
use crate::kernel::envelope::{
    Answer, EnvelopeError, FrameHead, Invoke, LinkKey, Message, PART_BYTES_MAX, Part, Topics, encode, frame,
    open,
};
use crate::kernel::fault::{AppCode, Code, Fault};
use crate::kernel::invocation::{Caller, Identity, Invocation};

const HEAD: FrameHead = FrameHead { link: LinkKey(7), sequence: 3, acknowledged: 2 };

fn topics() -> Topics {
    Topics {
        tables: BTreeSet::from([TableId(16_401), TableId(2)]),
        queues: BTreeSet::from([Arc::from("mail")]),
    }
}

fn invocation() -> Invocation {
    let claims = serde_json::from_str(r#"{"deep":{"list":[1,null,"x"]}}"#).expect("an object");
    let identity = Identity { subject: "ana".into(), roles: vec!["admin".into()], tenant: None, claims };
    let ip = Some("2001:db8::1".parse().expect("an address"));
    let caller = Caller { identity: Some(Arc::new(identity)), ip, user_agent: Some("test".into()) };
    Invocation {
        idempotency_key: Some("key".parse().expect("a key")),
        ..Invocation::new("tasks.list", &br#"{"done":true}"#[..], caller)
    }
}

fn messages() -> Vec<Message> {
    let fault = Fault::new(Code::Conflict, "no")
        .with_details(serde_json::json!({ "a": 1 }))
        .retry_after(Duration::from_secs(2));
    vec![
        Message::Hint { xid: Some(Xid(u64::MAX)), topics: topics() },
        Message::Hint { xid: None, topics: Topics::default() },
        Message::Interest(topics()),
        Message::Resync,
        Message::Invoke(Box::new(Invoke {
            id: 9,
            remaining: Duration::from_millis(1_500),
            invocation: invocation(),
        })),
        Message::Answer(Answer { id: 9, outcome: Ok(Bytes::from_static(b"[1,2]")) }),
        Message::Answer(Answer { id: 9, outcome: Err(fault) }),
        Message::Cancel { id: u64::MAX },
        Message::Ping { at: 1 },
        Message::Pong { at: 2 },
        Message::Goodbye,
    ]
}

fn read(bytes: &[u8]) -> Result<Vec<Part>, EnvelopeError> {
    open(bytes)?.1.collect()
}

#[test]
fn every_message_comes_back_as_it_was_sent() {
    let parts: Vec<_> = messages().iter().map(|message| encode(message).expect("fits")).collect();
    let bytes = frame(HEAD, &parts);
    let (head, _) = open(&bytes).expect("a frame");
    assert_eq!(head, HEAD);
    let back = read(&bytes).expect("whole");
    assert_eq!(back.len(), parts.len());
    for (sent, part) in messages().iter().zip(&back) {
        let Part::Message(message) = part else { panic!("{part:?}") };
        match (sent, message) {
            // Made anew for each list, so its own numbers differ.
            (Message::Invoke(_), Message::Invoke(back)) => {
                let (sent, back_call) = (invocation(), &back.invocation);
                assert_eq!((back.id, back.remaining), (9, Duration::from_millis(1_500)));
                assert_eq!((&back_call.name, &back_call.args), (&sent.name, &sent.args));
                assert_eq!(back_call.caller.identity, sent.caller.identity);
                assert_eq!(
                    (back_call.caller.ip, &back_call.caller.user_agent),
                    (sent.caller.ip, &sent.caller.user_agent)
                );
                assert_eq!((&back_call.idempotency_key, back_call.deadline), (&sent.idempotency_key, None));
            }
            (
                Message::Answer(Answer { outcome: Err(sent), .. }),
                Message::Answer(Answer { outcome: Err(back), .. }),
            ) => {
                assert_eq!(
                    (back.code(), back.message(), back.details()),
                    (sent.code(), sent.message(), sent.details())
                );
                assert_eq!(back.retry_delay(), sent.retry_delay());
            }
            (sent, back) => assert_eq!(format!("{sent:?}"), format!("{back:?}")),
        }
    }
}

#[test]
fn an_application_s_own_code_travels() {
    let code = AppCode { name: "LIMIT_REACHED", status: 429 };
    let answer = Message::Answer(Answer { id: 1, outcome: Err(Fault::new(Code::App(code), "enough")) });
    let bytes = frame(HEAD, &[encode(&answer).expect("fits")]);
    let parts = read(&bytes).expect("read");
    let [Part::Message(Message::Answer(Answer { outcome: Err(fault), .. }))] = parts.as_slice() else {
        panic!("{parts:?}")
    };
    assert_eq!((fault.code().name(), fault.code().status()), ("LIMIT_REACHED", 429));
}

#[test]
fn an_unknown_kind_is_skipped_and_the_rest_is_read() {
    let mut unknown = 9_999u16.to_be_bytes().to_vec();
    unknown.extend(4u32.to_be_bytes());
    unknown.extend(b"new!");
    let bytes = frame(HEAD, &[unknown, encode(&Message::Resync).expect("fits")]);
    let parts = read(&bytes).expect("read");
    assert!(matches!(parts.as_slice(), [Part::Unknown(9_999), Part::Message(Message::Resync)]), "{parts:?}");
}

#[test]
fn what_is_broken_is_refused() {
    let whole = frame(HEAD, &[encode(&Message::Interest(topics())).expect("fits")]);
    assert_eq!(read(&[]).err(), Some(EnvelopeError::Truncated));
    let mut other = whole.clone();
    other[0] = 2;
    assert_eq!(read(&other).err(), Some(EnvelopeError::Format(2)));
    // Cut anywhere but behind the head or behind a part, it is truncated.
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length]).is_err(), length != 33, "cut at {length}");
    }
    let bomb = |kind: u16, length: u32, body: &[u8]| {
        let mut part = kind.to_be_bytes().to_vec();
        part.extend(length.to_be_bytes());
        part.extend(body);
        frame(HEAD, &[part])
    };
    let huge = PART_BYTES_MAX as u32 + 1;
    assert_eq!(read(&bomb(2, huge, b"x")).err(), Some(EnvelopeError::TooLarge(huge as usize)));
    // A set that says it has 2^60 entries, and a text that says it has 2^60 bytes.
    assert_eq!(read(&bomb(2, 9, &[253, 0, 0, 0, 0, 0, 0, 0, 16])).err(), Some(EnvelopeError::Malformed(2)));
    assert_eq!(
        read(&bomb(4, 12, &[1, 1, 16, 1, 1, 1, 253, 0, 0, 0, 0, 16])).err(),
        Some(EnvelopeError::Malformed(4))
    );
    // Bytes behind a body, and a body where none belongs.
    assert_eq!(read(&bomb(7, 2, &[1, 1])).err(), Some(EnvelopeError::Malformed(7)));
    assert_eq!(read(&bomb(9, 1, &[1])).err(), Some(EnvelopeError::Malformed(9)));
}

#[test]
fn a_call_never_runs_as_somebody_else() {
    let invoke = Invoke { id: 1, remaining: Duration::from_secs(1), invocation: invocation() };
    let mut part = encode(&Message::Invoke(Box::new(invoke))).expect("fits");
    let place = part.windows(4).position(|bytes| bytes == b"\"ana").expect("the identity is JSON");
    part[place] = b'x';
    assert_eq!(read(&frame(HEAD, &[part])).err(), Some(EnvelopeError::Malformed(4)));
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let big = Invocation::new("a.b", vec![b' '; PART_BYTES_MAX], Caller::default());
    let outcome =
        encode(&Message::Invoke(Box::new(Invoke { id: 1, remaining: Duration::ZERO, invocation: big })));
    assert!(matches!(outcome, Err(EnvelopeError::TooLarge(_))), "{outcome:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _outcome = read(&bytes);
        let mut framed = frame(HEAD, &[]);
        framed.extend(&bytes);
        let _outcome = read(&framed);
    }

    #[test]
    fn any_body_of_a_known_kind_is_read_without_a_panic(kind in 0u16..12, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut part = kind.to_be_bytes().to_vec();
        part.extend((body.len() as u32).to_be_bytes());
        part.extend(&body);
        let _outcome = read(&frame(HEAD, &[part]));
    }

    #[test]
    fn a_flipped_bit_is_read_without_a_panic(place in 0usize..400, bit in 0u8..8) {
        let parts: Vec<_> = messages().iter().map(|message| encode(message).expect("fits")).collect();
        let mut bytes = frame(HEAD, &parts);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let _outcome = read(&bytes);
    }
}
