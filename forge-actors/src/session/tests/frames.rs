//! Frames from the client, the good and the bad; frames to the client, byte by byte.

use bytes::Bytes;
use tungstenite::protocol::{Message, Role, WebSocketContext};

use crate::kernel::fault::{Code, Fault};
use crate::kernel::trace::TraceContext;
use crate::reactor::Version;
use crate::session::frame::{ClientFrame, SubscribeRequest, parse};
use crate::session::limits::FRAME_DEPTH_MAX;
use crate::session::render::{self, ServerFrame};
use crate::session::wire::{CloseCode, TextFrame};

#[test]
fn every_frame_is_read() {
    let check = |text: &str, expected: ClientFrame| assert_eq!(parse(text).expect(text), expected, "{text}");
    check(r#"{"type":"hello","proto":1}"#, ClientFrame::Hello { contract: None, token: None });
    check(
        r#" {"token":"t","contract":"c","proto":1,"type":"hello"} "#,
        ClientFrame::Hello { contract: Some("c".to_owned()), token: Some("t".to_owned()) },
    );
    check(
        r#"{"type":"sub","id":4294967295,"name":"a.b","args":{"x": [1]},"version":"00000000000000ff"}"#,
        ClientFrame::Subscribe(SubscribeRequest {
            id: u32::MAX,
            name: "a.b".into(),
            args: Bytes::from_static(br#"{"x": [1]}"#),
            version: Some(Version(255)),
        }),
    );
    check(
        r#"{"type":"sub","id":0,"name":"\u0061"}"#,
        ClientFrame::Subscribe(SubscribeRequest {
            id: 0,
            name: "a".into(),
            args: Bytes::from_static(b"{}"),
            version: None,
        }),
    );
    check(r#"{"type":"unsub","id":1}"#, ClientFrame::Unsubscribe { id: 1 });
    check(r#"{"type":"auth","token":null}"#, ClientFrame::Authenticate { token: None });
    check(r#"{"type":"auth","token":"t"}"#, ClientFrame::Authenticate { token: Some("t".to_owned()) });
    check(r#"{"type":"ping","id":3}"#, ClientFrame::Ping { id: 3 });
}

#[test]
fn a_mutation_carries_key_and_trace() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let text = format!(r#"{{"type":"mut","id":7,"name":"a.b","args":{{}},"idem":"k","trace":"{trace}"}}"#);
    let ClientFrame::Mutate(mutation) = parse(&text).expect("a frame") else { panic!("it is a mutation") };
    assert_eq!(
        (mutation.id, &*mutation.name, mutation.idempotency_key.map(|key| key.map(String::from))),
        (7, "a.b", Ok(Some("k".to_owned())))
    );
    let sent = TraceContext::parse(trace).expect("a trace");
    assert_eq!(mutation.trace.trace_id, sent.trace_id);
    assert_ne!(mutation.trace.span_id, sent.span_id, "a span of its own");
    let ClientFrame::Mutate(mutation) =
        parse(r#"{"type":"mut","id":7,"name":"a.b","trace":"nonsense"}"#).expect("a frame")
    else {
        panic!("it is a mutation")
    };
    assert_ne!(mutation.trace.trace_id, 0, "an invalid trace starts a new one");
}

#[test]
fn a_mutation_with_an_invalid_key_is_still_a_frame() {
    for key in ["", "a b", "schlüssel", &"k".repeat(201)] {
        let text = format!(r#"{{"type":"mut","id":7,"name":"a.b","idem":"{key}"}}"#);
        let ClientFrame::Mutate(mutation) = parse(&text).expect("a frame") else {
            panic!("it is a mutation")
        };
        assert!(mutation.idempotency_key.is_err(), "{key}");
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    let deep = "[".repeat(FRAME_DEPTH_MAX);
    let corpus = [
        "",
        " ",
        "null",
        "1",
        "\"ping\"",
        "[]",
        r#"["ping",3]"#,
        "{}",
        "{",
        r#"{"type":"ping","id":3"#,
        r#"{"type":"ping","id":3}}"#,
        r#"{"type":"ping","id":3} x"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"ping","id":3,"id":4}"#,
        r#"{"type":"ping","type":"ping","id":3}"#,
        r#"{"type":"ping","id":-1}"#,
        r#"{"type":"ping","id":4294967296}"#,
        r#"{"type":"ping","id":1.5}"#,
        r#"{"type":"ping","id":"3"}"#,
        r#"{"type":"ping","id":null}"#,
        r#"{"type":"ping","id":3,"extra":1}"#,
        r#"{"type":"pong","id":3}"#,
        r#"{"type":"Ping","id":3}"#,
        r#"{"type":1,"id":3}"#,
        r#"{"type":"hello"}"#,
        r#"{"type":"hello","proto":2}"#,
        r#"{"type":"hello","proto":1,"resume":"x"}"#,
        r#"{"type":"auth"}"#,
        r#"{"type":"auth","token":1}"#,
        r#"{"type":"sub","id":1}"#,
        r#"{"type":"sub","id":1,"name":"a","args":}"#,
        r#"{"type":"sub","id":1,"name":"a","idem":"k"}"#,
        r#"{"type":"sub","id":1,"name":"a","version":"ff"}"#,
        r#"{"type":"sub","id":1,"name":"a","version":"+0000000000000ff"}"#,
        r#"{"type":"sub","id":1,"name":"a","version":"zzzzzzzzzzzzzzzz"}"#,
        r#"{"type":"mut","id":1,"name":"a","version":"00000000000000ff"}"#,
        &format!(r#"{{"type":"sub","id":1,"name":"a","args":{deep}"#),
        &format!(
            r#"{{"type":"sub","id":1,"name":"a","args":{{"x":{deep}{}}}}}"#,
            "]".repeat(FRAME_DEPTH_MAX)
        ),
        &format!(r#"{{"type":"{}"}}"#, "x".repeat(100_000)),
    ];
    for text in corpus {
        let fault = parse(text).expect_err(text);
        assert_eq!(fault.code(), Code::BadRequest, "{text}");
        assert!(fault.message().len() < 1_000, "the answer does not grow with the frame");
    }
}

#[test]
fn brackets_in_texts_nest_nothing() {
    let brackets = "[{".repeat(FRAME_DEPTH_MAX);
    let text = format!(r#"{{"type":"sub","id":1,"name":"a","args":{{"x":"\"{brackets}\\"}}}}"#);
    parse(&text).expect("a flat frame");
}

#[test]
fn frames_to_the_client_are_written_as_documented() {
    let text = |frame: TextFrame| frame.text();
    let fault = Fault::new(Code::NotFound, "no \"such\" thing");
    assert_eq!(
        text(
            ServerFrame::Welcome {
                session: "s".to_owned(),
                node: "n".to_owned(),
                contract: None,
                subject: Some("ana"),
                expires_at: chrono::DateTime::from_timestamp(1_700_000_000, 0),
                ping_ms: 25_000,
            }
            .text()
        ),
        concat!(
            r#"{"type":"welcome","session":"s","node":"n","contract":null,"subject":"ana","#,
            r#""expiresAt":"2023-11-14T22:13:20Z","pingMs":25000}"#
        )
    );
    let accepted = render::AuthReply::Accepted { subject: None, expires_at: None };
    assert_eq!(
        text(ServerFrame::Auth(accepted).text()),
        r#"{"type":"auth","subject":null,"expiresAt":null}"#
    );
    let refused = render::AuthReply::Refused { error: fault.wire("t") };
    let error = r#"{"code":"NOT_FOUND","message":"no \"such\" thing","details":null,"traceId":"t"}"#;
    assert_eq!(text(ServerFrame::Auth(refused).text()), format!(r#"{{"type":"auth","error":{error}}}"#));
    assert_eq!(text(ServerFrame::GoAway { after_ms: 1_500 }.text()), r#"{"type":"goAway","afterMs":1500}"#);
    assert_eq!(text(ServerFrame::Pong { id: 3 }.text()), r#"{"type":"pong","id":3}"#);
    assert_eq!(
        text(ServerFrame::Fault { error: fault.wire("t") }.text()),
        format!(r#"{{"type":"fault","error":{error}}}"#)
    );
    let data = Ok(Bytes::from_static(b"{\"spliced\" : as it is}"));
    assert_eq!(
        text(render::mutation_result(7, &data, "t")),
        r#"{"type":"mutResult","id":7,"data":{"spliced" : as it is}}"#
    );
    assert_eq!(
        text(render::mutation_result(7, &Err(fault), "t")),
        format!(r#"{{"type":"mutResult","id":7,"error":{error}}}"#)
    );
}

/// tungstenite parses the frames that the session writes.
#[test]
fn a_client_reads_what_is_written() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
        let payload = "x".repeat(length);
        let frame = TextFrame::new(0, |text| text.share(&Bytes::copy_from_slice(payload.as_bytes())));
        assert_eq!(
            read_back(&frame.slices().collect::<Vec<_>>().concat()),
            Message::text(payload),
            "{length} bytes"
        );
    }
    for code in CloseCode::ALL {
        let Message::Close(Some(close)) = read_back(&code.frame()) else {
            panic!("{code:?} is a close frame")
        };
        assert_eq!(u16::from(close.code), code.number());
    }
}

fn read_back(bytes: &[u8]) -> Message {
    let mut stream = std::io::Cursor::new(bytes.to_vec());
    WebSocketContext::new(Role::Client, None).read(&mut stream).expect("a whole frame")
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        text in r#"\{("type":"(hello|sub|mut|auth|ping)",?)?[\PC\\"{}\[\]:,]{0,80}\}?"#
    ) {
        // A frame or a fault; anything but a panic.
        let _read = parse(&text).map_err(|fault| fault.code());
    }
}
