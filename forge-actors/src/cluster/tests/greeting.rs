use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::greeting::{Greeter, Newcomer, TurnedAway};
use crate::cluster::handshake::{Cookie, HandshakeError, Hello, Refusal, Side, Transcript};
use crate::kernel::ids::NodeId;
use crate::kernel::secret::Secret;

fn cookie(text: &str) -> Cookie {
    Cookie::new(&Secret::new(text))
}

fn greeter(secret: &str) -> Greeter {
    Greeter {
        node: NodeId::new(),
        name: "a-node".into(),
        address: "127.0.0.1:1".into(),
        cookie: cookie(secret),
        tls: None,
    }
}

type Outcome = Result<Newcomer, HandshakeError>;

/// Both ends over a real connection: what the dialer and what the listener come to.
async fn meet(dialer: &Greeter, listener: &Greeter, expected: NodeId) -> (Outcome, Outcome) {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = socket.local_addr().expect("an address").to_string();
    let accepting = async {
        let (connection, _) = socket.accept().await.expect("accept");
        listener.answer(connection).await.map_err(|TurnedAway { error, .. }| error)
    };
    tokio::join!(dialer.dial(expected, "a-node", &address), accepting)
}

#[tokio::test]
async fn two_nodes_with_one_secret_make_one_link() {
    let (dialer, listener) = (greeter("one"), greeter("one"));
    let (Ok(at_dialer), Ok(at_listener)) = meet(&dialer, &listener, listener.node).await else {
        panic!("they greet")
    };
    assert_eq!(at_dialer.key, at_listener.key);
    assert_eq!((at_dialer.hello.node, at_listener.hello.node), (listener.node, dialer.node));
    assert_eq!((at_dialer.side, at_listener.side), (Side::Dialer, Side::Listener));
    let (Ok(again), _) = meet(&dialer, &listener, listener.node).await else { panic!("they greet") };
    assert_ne!(again.key, at_dialer.key, "every link has a key of its own");
}

#[tokio::test]
async fn another_secret_is_refused_and_told() {
    let (dialer, listener) = (greeter("one"), greeter("two"));
    let (at_dialer, at_listener) = meet(&dialer, &listener, listener.node).await;
    assert!(matches!(at_dialer, Err(HandshakeError::Refused(Refusal::Secret))));
    assert!(matches!(at_listener, Err(HandshakeError::WrongSecret)));
}

#[tokio::test]
async fn an_address_that_leads_elsewhere_is_noticed() {
    let (dialer, listener) = (greeter("one"), greeter("one"));
    let (at_dialer, at_listener) = meet(&dialer, &listener, NodeId::new()).await;
    assert!(matches!(at_dialer, Err(HandshakeError::OtherNode(node)) if node == listener.node));
    assert!(at_listener.is_err());
    let (at_dialer, at_listener) = meet(&dialer, &dialer, dialer.node).await;
    assert!(matches!(at_dialer, Err(HandshakeError::Oneself)));
    assert!(at_listener.is_err());
}

async fn say(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length, message].concat()).await.expect("write");
}

async fn hear(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = usize::from(stream.read_u16().await.ok()?);
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// A listener and a hand-made dialer against it; what the listener comes to.
async fn attacked<F: Future<Output = ()>>(
    listener: &Greeter,
    attack: impl FnOnce(TcpStream) -> F,
) -> Outcome {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = socket.local_addr().expect("an address");
    let accepting = async {
        let (connection, _) = socket.accept().await.expect("accept");
        listener.answer(connection).await.map_err(|TurnedAway { error, .. }| error)
    };
    let attacking = async { attack(TcpStream::connect(address).await.expect("connect")).await };
    tokio::join!(accepting, attacking).0
}

#[tokio::test]
async fn a_recorded_greeting_is_worth_nothing() {
    let (dialer, listener) = (greeter("one"), greeter("one"));
    // Recorded: everything that the dialer says to a listener.
    let hello = Hello::new(dialer.node, "a-node", "127.0.0.1:1").expect("random bytes").encode();
    let mut proof = Vec::new();
    let honest = attacked(&listener, async |mut stream| {
        say(&mut stream, &hello).await;
        let theirs = hear(&mut stream).await.expect("a hello");
        let transcript = Transcript::new(&hello, &theirs, &[]);
        proof = [&[1], transcript.proof(&dialer.cookie, Side::Dialer).as_slice()].concat();
        say(&mut stream, &proof).await;
        assert_eq!(hear(&mut stream).await.expect("a proof")[0], 1);
    });
    assert!(honest.await.is_ok());
    let replayed = attacked(&listener, async |mut stream| {
        say(&mut stream, &hello).await;
        hear(&mut stream).await.expect("a hello");
        say(&mut stream, &proof).await;
        assert_eq!(hear(&mut stream).await.expect("a refusal")[0], 2);
    });
    assert!(matches!(replayed.await, Err(HandshakeError::WrongSecret)));
}

/// An attacker who opens two connections to one node and passes on what comes.
#[tokio::test]
async fn a_node_s_own_proof_is_not_taken_back() {
    let listener = greeter("one");
    let reflected = attacked(&listener, async |mut stream| {
        let hello = Hello::new(NodeId::new(), "a-node", "x").expect("random bytes").encode();
        say(&mut stream, &hello).await;
        let theirs = hear(&mut stream).await.expect("a hello");
        // The best that reflection could bring: the proof of the other role over this very transcript.
        let reflected = Transcript::new(&hello, &theirs, &[]).proof(&listener.cookie, Side::Listener);
        say(&mut stream, &[&[1], reflected.as_slice()].concat()).await;
        assert_eq!(hear(&mut stream).await.expect("a refusal")[0], 2);
    });
    assert!(matches!(reflected.await, Err(HandshakeError::WrongSecret)));
}

#[test]
fn a_proof_is_bound_to_roles_hellos_and_connection() {
    let (one, two) = (cookie("one"), cookie("two"));
    let transcript = Transcript::new(b"dialer", b"listener", b"channel");
    let proof = transcript.proof(&one, Side::Dialer);
    assert!(transcript.proves(&one, Side::Dialer, &proof));
    assert!(!transcript.proves(&one, Side::Listener, &proof));
    assert!(!transcript.proves(&two, Side::Dialer, &proof));
    assert!(!transcript.proves(&one, Side::Dialer, &proof[..31]));
    for other in [
        Transcript::new(b"listener", b"dialer", b"channel"),
        Transcript::new(b"dialer", b"listener", b"another"),
        Transcript::new(b"dialer", b"listener", b""),
        Transcript::new(b"dialerl", b"istener", b"channel"),
    ] {
        assert!(!other.proves(&one, Side::Dialer, &proof));
        assert_ne!(other.link(&one), transcript.link(&one));
    }
}

/// A hello that speaks these protocols.
fn hello(protocol_min: u16, protocol: u16) -> Hello {
    let mut hello = Hello::new(NodeId::new(), "a-node", "x").expect("random bytes");
    (hello.protocol_min, hello.protocol) = (protocol_min, protocol);
    hello
}

#[test]
fn protocols_must_meet() {
    let check = |a: (u16, u16), b: (u16, u16), expected: bool| {
        assert_eq!(hello(a.0, a.1).agree(&hello(b.0, b.1)).is_ok(), expected, "{a:?} {b:?}");
        assert_eq!(hello(b.0, b.1).agree(&hello(a.0, a.1)).is_ok(), expected, "{b:?} {a:?}");
    };
    check((1, 1), (1, 1), true);
    check((1, 3), (3, 5), true);
    check((1, 2), (3, 5), false);
}

#[tokio::test]
async fn a_node_of_another_protocol_is_told_why() {
    let listener = greeter("one");
    let outcome = attacked(&listener, async |mut stream| {
        let hello = hello(98, 99).encode();
        say(&mut stream, &hello).await;
        let theirs = hear(&mut stream).await.expect("a hello");
        let proof = Transcript::new(&hello, &theirs, &[]).proof(&listener.cookie, Side::Dialer);
        say(&mut stream, &[&[1], proof.as_slice()].concat()).await;
        assert_eq!(hear(&mut stream).await.expect("a refusal"), [2, 0]);
    });
    let error = outcome.await.err().expect("refused").to_string();
    assert_eq!(error, "it speaks protocol 98–99, this node 1–1");
}

#[tokio::test]
async fn what_is_no_greeting_gets_no_answer() {
    let listener = greeter("one");
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0, 0],
        &[0, 4, 1, 2, 3, 4],
        &[255; 600],
        &[22, 3, 1, 2, 0, 1, 0, 1, 252],
    ] {
        let outcome = attacked(&listener, async |mut stream| {
            stream.write_all(garbage).await.expect("write");
            stream.shutdown().await.expect("half-close");
            let mut answer = Vec::new();
            // A reset is no answer either.
            let _reset = stream.read_to_end(&mut answer).await;
            assert!(answer.is_empty(), "{answer:?}");
        });
        assert!(outcome.await.is_err(), "{garbage:?}");
    }
    // A length bomb ends at its second byte, long before the deadline.
    let began = std::time::Instant::now();
    let outcome = attacked(&listener, async |mut stream| stream.write_all(&[255, 255]).await.expect("write"));
    assert!(matches!(outcome.await, Err(HandshakeError::Oversized)));
    assert!(began.elapsed() < std::time::Duration::from_secs(4));
}

#[test]
fn a_hello_with_control_characters_or_endless_names_is_none() {
    let decode =
        |name: &str| Hello::decode(&Hello::new(NodeId::new(), name, "x").expect("random bytes").encode());
    assert!(decode("forge-1").is_ok());
    assert!(matches!(decode("a\u{1b}[31m"), Err(HandshakeError::NoHello)));
    assert!(matches!(decode(&"x".repeat(300)), Err(HandshakeError::NoHello)));
}
