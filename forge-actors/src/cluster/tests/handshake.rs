use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::cluster_key::ClusterKey;
use crate::cluster::connect::{Connector, PendingPeer, Rejected};
use crate::cluster::handshake::{HandshakeError, MeshHello, RejectReason, Side, Transcript};
use crate::kernel::ids::NodeId;
use crate::kernel::secret::SecretText;

fn key(text: &str) -> ClusterKey {
    ClusterKey::new(&SecretText::new(text))
}

fn connector(secret: &str) -> Connector {
    Connector {
        node: NodeId::new(),
        name: "a-node".into(),
        address: "127.0.0.1:1".into(),
        key: key(secret),
        tls: None,
    }
}

type HandshakeResult = Result<PendingPeer, HandshakeError>;

/// Runs a handshake over a real connection, and returns the results of both sides.
async fn shake(
    dialer: &Connector,
    listener: &Connector,
    expected: NodeId,
) -> (HandshakeResult, HandshakeResult) {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = socket.local_addr().expect("an address").to_string();
    let accepting = async {
        let (connection, _) = socket.accept().await.expect("accept");
        listener.accept(connection).await.map_err(|Rejected { error, .. }| error)
    };
    tokio::join!(dialer.dial(expected, "a-node", &address), accepting)
}

#[tokio::test]
async fn two_nodes_with_one_secret_make_one_link() {
    let (dialer, listener) = (connector("one"), connector("one"));
    let (Ok(at_dialer), Ok(at_listener)) = shake(&dialer, &listener, listener.node).await else {
        panic!("the handshake failed")
    };
    assert_eq!(at_dialer.key, at_listener.key);
    assert_eq!((at_dialer.hello.node, at_listener.hello.node), (listener.node, dialer.node));
    assert_eq!((at_dialer.side, at_listener.side), (Side::Dialer, Side::Listener));
    let (Ok(again), _) = shake(&dialer, &listener, listener.node).await else {
        panic!("the handshake failed")
    };
    assert_ne!(again.key, at_dialer.key, "every link has a key of its own");
}

#[tokio::test]
async fn another_secret_is_rejected_with_its_reason() {
    let (dialer, listener) = (connector("one"), connector("two"));
    let (at_dialer, at_listener) = shake(&dialer, &listener, listener.node).await;
    assert!(matches!(at_dialer, Err(HandshakeError::RejectedByPeer(RejectReason::ClusterKey))));
    assert!(matches!(at_listener, Err(HandshakeError::WrongClusterKey)));
}

#[tokio::test]
async fn another_node_at_the_address_is_noticed() {
    let (dialer, listener) = (connector("one"), connector("one"));
    let (at_dialer, at_listener) = shake(&dialer, &listener, NodeId::new()).await;
    assert!(matches!(at_dialer, Err(HandshakeError::OtherNode(node)) if node == listener.node));
    assert!(at_listener.is_err());
    let (at_dialer, at_listener) = shake(&dialer, &dialer, dialer.node).await;
    assert!(matches!(at_dialer, Err(HandshakeError::SameNode)));
    assert!(at_listener.is_err());
}

async fn send(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length, message].concat()).await.expect("write");
}

async fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = usize::from(stream.read_u16().await.ok()?);
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// Runs `attack` as the dialer against a listener, and returns the listener's result.
async fn attacked<F: Future<Output = ()>>(
    listener: &Connector,
    attack: impl FnOnce(TcpStream) -> F,
) -> HandshakeResult {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = socket.local_addr().expect("an address");
    let accepting = async {
        let (connection, _) = socket.accept().await.expect("accept");
        listener.accept(connection).await.map_err(|Rejected { error, .. }| error)
    };
    let attacking = async { attack(TcpStream::connect(address).await.expect("connect")).await };
    tokio::join!(accepting, attacking).0
}

#[tokio::test]
async fn a_replayed_handshake_is_rejected() {
    let (dialer, listener) = (connector("one"), connector("one"));
    // The messages of an honest dialer are recorded, and sent again later.
    let hello = MeshHello::new(dialer.node, "a-node", "127.0.0.1:1").expect("random bytes").encode();
    let mut proof = Vec::new();
    let honest = attacked(&listener, async |mut stream| {
        send(&mut stream, &hello).await;
        let theirs = receive(&mut stream).await.expect("a hello");
        let transcript = Transcript::new(&hello, &theirs, &[]);
        proof = [&[1], transcript.proof(&dialer.key, Side::Dialer).as_slice()].concat();
        send(&mut stream, &proof).await;
        assert_eq!(receive(&mut stream).await.expect("a proof")[0], 1);
    });
    assert!(honest.await.is_ok());
    let replayed = attacked(&listener, async |mut stream| {
        send(&mut stream, &hello).await;
        receive(&mut stream).await.expect("a hello");
        send(&mut stream, &proof).await;
        assert_eq!(receive(&mut stream).await.expect("a rejection")[0], 2);
    });
    assert!(matches!(replayed.await, Err(HandshakeError::WrongClusterKey)));
}

/// An attacker could open two connections to a node, and send the proof from one on the other.
#[tokio::test]
async fn a_node_s_own_proof_is_not_accepted() {
    let listener = connector("one");
    let reflected = attacked(&listener, async |mut stream| {
        let hello = MeshHello::new(NodeId::new(), "a-node", "x").expect("random bytes").encode();
        send(&mut stream, &hello).await;
        let theirs = receive(&mut stream).await.expect("a hello");
        // The strongest reflection is the listener's proof over this very transcript.
        let reflected = Transcript::new(&hello, &theirs, &[]).proof(&listener.key, Side::Listener);
        send(&mut stream, &[&[1], reflected.as_slice()].concat()).await;
        assert_eq!(receive(&mut stream).await.expect("a rejection")[0], 2);
    });
    assert!(matches!(reflected.await, Err(HandshakeError::WrongClusterKey)));
}

#[test]
fn a_proof_is_bound_to_roles_hellos_and_connection() {
    let (one, two) = (key("one"), key("two"));
    let transcript = Transcript::new(b"dialer", b"listener", b"channel");
    let proof = transcript.proof(&one, Side::Dialer);
    assert!(transcript.verify(&one, Side::Dialer, &proof));
    assert!(!transcript.verify(&one, Side::Listener, &proof));
    assert!(!transcript.verify(&two, Side::Dialer, &proof));
    assert!(!transcript.verify(&one, Side::Dialer, &proof[..31]));
    for other in [
        Transcript::new(b"listener", b"dialer", b"channel"),
        Transcript::new(b"dialer", b"listener", b"another"),
        Transcript::new(b"dialer", b"listener", b""),
        Transcript::new(b"dialerl", b"istener", b"channel"),
    ] {
        assert!(!other.verify(&one, Side::Dialer, &proof));
        assert_ne!(other.link_key(&one), transcript.link_key(&one));
    }
}

/// A hello with this range of protocols.
fn hello(protocol_min: u16, protocol: u16) -> MeshHello {
    let mut hello = MeshHello::new(NodeId::new(), "a-node", "x").expect("random bytes");
    (hello.protocol_min, hello.protocol) = (protocol_min, protocol);
    hello
}

#[test]
fn protocol_ranges_must_overlap() {
    let check = |a: (u16, u16), b: (u16, u16), expected: bool| {
        assert_eq!(hello(a.0, a.1).check_protocol(&hello(b.0, b.1)).is_ok(), expected, "{a:?} {b:?}");
        assert_eq!(hello(b.0, b.1).check_protocol(&hello(a.0, a.1)).is_ok(), expected, "{b:?} {a:?}");
    };
    check((1, 1), (1, 1), true);
    check((1, 3), (3, 5), true);
    check((1, 2), (3, 5), false);
}

#[tokio::test]
async fn a_node_of_another_protocol_learns_the_reason() {
    let listener = connector("one");
    let outcome = attacked(&listener, async |mut stream| {
        let hello = hello(98, 99).encode();
        send(&mut stream, &hello).await;
        let theirs = receive(&mut stream).await.expect("a hello");
        let proof = Transcript::new(&hello, &theirs, &[]).proof(&listener.key, Side::Dialer);
        send(&mut stream, &[&[1], proof.as_slice()].concat()).await;
        assert_eq!(receive(&mut stream).await.expect("a rejection"), [2, 0]);
    });
    let error = outcome.await.err().expect("refused").to_string();
    assert_eq!(error, "the peer speaks mesh protocol 98–99, this node 1–1");
}

#[tokio::test]
async fn a_client_that_does_not_speak_the_handshake_gets_no_response() {
    let listener = connector("one");
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
            // A reset counts as no response as well.
            let _reset = stream.read_to_end(&mut answer).await;
            assert!(answer.is_empty(), "{answer:?}");
        });
        assert!(outcome.await.is_err(), "{garbage:?}");
    }
    // An announced length above the limit ends the connection at its second byte, long before the deadline.
    let began = std::time::Instant::now();
    let outcome = attacked(&listener, async |mut stream| stream.write_all(&[255, 255]).await.expect("write"));
    assert!(matches!(outcome.await, Err(HandshakeError::Oversized)));
    assert!(began.elapsed() < std::time::Duration::from_secs(4));
}

#[test]
fn a_hello_with_control_characters_or_a_long_name_is_rejected() {
    let decode = |name: &str| {
        MeshHello::decode(&MeshHello::new(NodeId::new(), name, "x").expect("random bytes").encode())
    };
    assert!(decode("forge-1").is_ok());
    assert!(matches!(decode("a\u{1b}[31m"), Err(HandshakeError::NotAHello)));
    assert!(matches!(decode(&"x".repeat(300)), Err(HandshakeError::NotAHello)));
}

/// Nodes of the previous version must be able to read these bytes.
#[test]
fn the_bytes_of_a_hello_and_the_proofs_do_not_change() {
    let node: NodeId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("an id");
    let mut hello = MeshHello::new(node, "a-node", "127.0.0.1:1").expect("random bytes");
    hello.nonce = [7; 32];
    let hello = hello.encode();
    assert_eq!(
        hex(&hello),
        "464f5247454d534801010707070707070707070707070707070707070707070707070707070707070707\
         1001890a5dac96774bbcceb302099a805706612d6e6f64650b3132372e302e302e313a31"
    );
    let transcript = Transcript::new(&hello, b"listener", b"channel");
    let key = ClusterKey::derived_from(&SecretText::new("a secret of the tests"));
    assert_eq!(
        hex(&transcript.proof(&key, Side::Dialer)),
        "c4c70a9ca938d4108ea2034ff008dba671cd81396244391571d88d6a33eded86"
    );
    assert_eq!(
        hex(&transcript.proof(&key, Side::Listener)),
        "387496594a54f3b4657ef934645f64afaecaf8108647f47ce435666388a9cf14"
    );
    assert_eq!(format!("{:032x}", transcript.link_key(&key).0), "a48a085dc05011c003af7b5561f45403");
    let reasons =
        [RejectReason::Protocol, RejectReason::ClusterKey, RejectReason::Name, RejectReason::SameNode];
    for (number, reason) in (0..).zip(reasons) {
        let bytes = bincode::serde::encode_to_vec(reason, bincode::config::standard()).expect("encodes");
        assert_eq!(bytes, [number]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
