use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::kernel::commit::{TableId, Xid};
use crate::kernel::envelope::{
    EnvelopeError, FrameHeader, FramePart, InvokeRequest, InvokeResponse, LinkKey, MeshMessage,
    PART_BYTES_MAX, Topics, decode_frame, encode_frame, encode_part,
};
use crate::kernel::fault::{AppCode, Code, Fault};
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::trace::TraceContext;

const HEAD: FrameHeader = FrameHeader { link: LinkKey(7), sequence: 3, acknowledged: 2 };

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

fn messages() -> Vec<MeshMessage> {
    let fault = Fault::new(Code::Conflict, "no")
        .with_details(serde_json::json!({ "a": 1 }))
        .retry_after(Duration::from_secs(2));
    vec![
        MeshMessage::Hint { xid: Some(Xid(u64::MAX)), topics: topics() },
        MeshMessage::Hint { xid: None, topics: Topics::default() },
        MeshMessage::Interest(topics()),
        MeshMessage::Resync,
        MeshMessage::InvokeRequest(Box::new(InvokeRequest {
            id: 9,
            remaining: Duration::from_millis(1_500),
            invocation: invocation(),
        })),
        MeshMessage::InvokeResponse(InvokeResponse { id: 9, result: Ok(Bytes::from_static(b"[1,2]")) }),
        MeshMessage::InvokeResponse(InvokeResponse { id: 9, result: Err(fault) }),
        MeshMessage::Cancel { id: u64::MAX },
        MeshMessage::Ping { at: 1 },
        MeshMessage::Pong { at: 2 },
        MeshMessage::Goodbye,
    ]
}

fn read(bytes: &[u8]) -> Result<Vec<FramePart>, EnvelopeError> {
    decode_frame(bytes)?.1.collect()
}

#[test]
fn every_message_comes_back_as_it_was_sent() {
    let parts: Vec<_> = messages().iter().map(|message| encode_part(message).expect("fits")).collect();
    let bytes = encode_frame(HEAD, &parts);
    let (head, _) = decode_frame(&bytes).expect("a frame");
    assert_eq!(head, HEAD);
    let back = read(&bytes).expect("whole");
    assert_eq!(back.len(), parts.len());
    for (sent, part) in messages().iter().zip(&back) {
        let FramePart::Message(message) = part else { panic!("{part:?}") };
        match (sent, message) {
            // Made anew for each list, so its own numbers differ.
            (MeshMessage::InvokeRequest(_), MeshMessage::InvokeRequest(back)) => {
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
                MeshMessage::InvokeResponse(InvokeResponse { result: Err(sent), .. }),
                MeshMessage::InvokeResponse(InvokeResponse { result: Err(back), .. }),
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

/// Nodes of the previous version must be able to read these bytes.
#[test]
fn the_bytes_of_released_messages_do_not_change() {
    let request = |id: u64| {
        let request: RequestId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("an id");
        let trace = TraceContext { trace_id: 1 << 100, span_id: 2, sampled: true };
        let invocation = Invocation { id: request, trace, ..invocation() };
        InvokeRequest { id, remaining: Duration::from_millis(1_500), invocation }
    };
    let fault = Fault::new(Code::Conflict, "no").with_details(serde_json::json!({ "a": 1 }));
    let check = |message: MeshMessage, expected: &str| {
        let part = encode_part(&message).expect("fits");
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{message:?}");
    };
    check(
        MeshMessage::Hint { xid: Some(Xid(u64::MAX)), topics: topics() },
        "00010000001501fdffffffffffffffff0202fb114001046d61696c",
    );
    check(MeshMessage::Interest(topics()), "00020000000b0202fb114001046d61696c");
    check(MeshMessage::Resync, "000300000000");
    check(
        MeshMessage::InvokeRequest(Box::new(request(300))),
        "0004000000bafb2c01fbdc051001890a5dac96774bbcceb302099a80570a7461736b732e6c697374\
         01597b227375626a656374223a22616e61222c22726f6c6573223a5b2261646d696e225d2c227465\
         6e616e74223a6e756c6c2c22636c61696d73223a7b2264656570223a7b226c697374223a5b312c6e\
         756c6c2c2278225d7d7d7d010120010db8000000000000000000000001010474657374fe00000000\
         000000000000000010000000020101036b65797b22646f6e65223a747275657d",
    );
    let output = Bytes::from_static(b"[1,2]");
    check(
        MeshMessage::InvokeResponse(InvokeResponse { id: 9, result: Ok(output) }),
        "00050000000709005b312c325d",
    );
    check(
        MeshMessage::InvokeResponse(InvokeResponse { id: 9, result: Err(fault) }),
        "00050000001b090108434f4e464c494354fb9901026e6f01077b2261223a317d00",
    );
    check(MeshMessage::Cancel { id: u64::MAX }, "000600000009fdffffffffffffffff");
    check(MeshMessage::Ping { at: 1 }, "00070000000101");
    check(MeshMessage::Pong { at: 2 }, "00080000000102");
    check(MeshMessage::Goodbye, "000900000000");
    let expected =
        "01000000000000000000000000000000070000000000000003000000000000000200080000000102000900000000";
    let parts = [MeshMessage::Pong { at: 2 }, MeshMessage::Goodbye]
        .map(|message| encode_part(&message).expect("fits"));
    let frame: String = encode_frame(HEAD, &parts).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(frame, expected);
}

#[test]
fn an_application_s_own_code_travels() {
    let code = AppCode { name: "LIMIT_REACHED", status: 429 };
    let answer = MeshMessage::InvokeResponse(InvokeResponse {
        id: 1,
        result: Err(Fault::new(Code::App(code), "enough")),
    });
    let bytes = encode_frame(HEAD, &[encode_part(&answer).expect("fits")]);
    let parts = read(&bytes).expect("read");
    let [FramePart::Message(MeshMessage::InvokeResponse(InvokeResponse { result: Err(fault), .. }))] =
        parts.as_slice()
    else {
        panic!("{parts:?}")
    };
    assert_eq!((fault.code().name(), fault.code().status()), ("LIMIT_REACHED", 429));
}

#[test]
fn an_unknown_kind_is_skipped_and_the_rest_is_read() {
    let mut unknown = 9_999u16.to_be_bytes().to_vec();
    unknown.extend(4u32.to_be_bytes());
    unknown.extend(b"new!");
    let bytes = encode_frame(HEAD, &[unknown, encode_part(&MeshMessage::Resync).expect("fits")]);
    let parts = read(&bytes).expect("read");
    assert!(
        matches!(parts.as_slice(), [FramePart::Unknown(9_999), FramePart::Message(MeshMessage::Resync)]),
        "{parts:?}"
    );
}

#[test]
fn what_is_broken_is_refused() {
    let whole = encode_frame(HEAD, &[encode_part(&MeshMessage::Interest(topics())).expect("fits")]);
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
        encode_frame(HEAD, &[part])
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
    let invoke = InvokeRequest { id: 1, remaining: Duration::from_secs(1), invocation: invocation() };
    let mut part = encode_part(&MeshMessage::InvokeRequest(Box::new(invoke))).expect("fits");
    let place = part.windows(4).position(|bytes| bytes == b"\"ana").expect("the identity is JSON");
    part[place] = b'x';
    assert_eq!(read(&encode_frame(HEAD, &[part])).err(), Some(EnvelopeError::Malformed(4)));
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let big = Invocation::new("a.b", vec![b' '; PART_BYTES_MAX], Caller::default());
    let outcome = encode_part(&MeshMessage::InvokeRequest(Box::new(InvokeRequest {
        id: 1,
        remaining: Duration::ZERO,
        invocation: big,
    })));
    assert!(matches!(outcome, Err(EnvelopeError::TooLarge(_))), "{outcome:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _outcome = read(&bytes);
        let mut framed = encode_frame(HEAD, &[]);
        framed.extend(&bytes);
        let _outcome = read(&framed);
    }

    #[test]
    fn any_body_of_a_known_kind_is_read_without_a_panic(
        kind in 0u16..12,
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut part = kind.to_be_bytes().to_vec();
        part.extend((body.len() as u32).to_be_bytes());
        part.extend(&body);
        let _outcome = read(&encode_frame(HEAD, &[part]));
    }

    #[test]
    fn a_flipped_bit_is_read_without_a_panic(place in 0usize..400, bit in 0u8..8) {
        let parts: Vec<_> = messages().iter().map(|message| encode_part(message).expect("fits")).collect();
        let mut bytes = encode_frame(HEAD, &parts);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let _outcome = read(&bytes);
    }
}
