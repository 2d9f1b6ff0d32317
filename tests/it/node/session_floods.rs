//! Clients whose bytes never become a frame: their connections end, and nobody waits for them meanwhile. And
//! clients that are only slow: they get everything, once.

use std::time::Duration;

use forge_tests::{Database, Disturbance, FaultProxy, Node, Socket, probe, until};
use futures::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;

use super::sessions::{metric, node_with, nothing_is_left, retitle, until_snapshot};
use super::stage::PATIENCE;

/// The first fragment of a text, and one that continues it, both without payload.
const FIRST: [u8; 6] = [0x01, 0x80, 0, 0, 0, 0];
const NEXT: [u8; 6] = [0x00, 0x80, 0, 0, 0, 0];
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

/// Writes `bytes` again and again, until the node ends the connection.
async fn flood(mut socket: Socket, bytes: Vec<u8>) {
    socket.raw().write_all(&FIRST).await.expect("the node reads");
    while socket.raw().write_all(&bytes).await.is_ok() {}
}

/// Calls the node until `floods` have ended, and returns how many calls were answered.
async fn calls_during(node: &Node, floods: impl Future<Output = ()>) -> usize {
    tokio::pin!(floods);
    let mut answered = 0;
    loop {
        tokio::select! {
            biased;
            () = &mut floods => return answered,
            reply = node.call("live.title", json!({ "id": 1 }), None) => {
                reply.data();
                answered += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_fragments_end_and_delay_nobody() {
    let database = Database::create().await;
    let node = node_with(&database, "").await;
    let base = node.client().base().to_owned();
    let fragments = NEXT.repeat(1_000);
    let with_pings = [&fragments[..], &PING].concat();
    let mut floods = Vec::new();
    for bytes in [&fragments, &fragments, &with_pings, &with_pings] {
        floods.push(tokio::spawn(flood(Socket::connect(&base).await, bytes.clone())));
        floods.push(tokio::spawn(flood(Socket::hello(&base, None).await.0, bytes.clone())));
    }
    let count = floods.len();
    let ended = async {
        tokio::time::timeout(PATIENCE, futures::future::join_all(floods)).await.expect("the floods end");
    };
    println!("{} calls were answered meanwhile", calls_during(&node, ended).await);
    let closed = metric(&node, "forge_sessions_closed_total{code=\"1009\"}").await;
    assert_eq!(closed, count as f64);
    nothing_is_left(&node).await;
}

#[tokio::test]
async fn a_frame_that_does_not_arrive_whole_ends_the_connection() {
    let database = Database::create().await;
    let node = node_with(&database, "frame_timeout = \"300ms\"\nping_interval = \"400ms\"").await;
    // A fragment that nothing follows, and a frame of 1,000 bytes of which two arrive. The client answers
    // pings all the time, in the second case with bytes that the node takes for the rest of the frame.
    let unfinished: [&[u8]; 2] =
        [&[0x01, 0x81, 0, 0, 0, 0, b'x'], &[0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0, b'{', b'"']];
    for bytes in unfinished {
        let (mut socket, _) = Socket::hello(node.client().base(), None).await;
        socket.raw().write_all(bytes).await.expect("the node reads");
        let (frames, code) = socket.closed().await;
        assert_eq!(code, Some(1008), "{frames:?}");
        let fault = frames.last().expect("a reason");
        let message = fault["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains("did not arrive whole within 300ms"), "{message}");
    }
    nothing_is_left(&node).await;
}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// How a client sends its bytes.
#[derive(Debug, Clone, Copy)]
enum Delivery {
    AtOnce,
    /// In small pieces, each of which the node may read before the next one is there.
    InPieces,
    /// Again and again, until the node ends the connection.
    Endlessly,
}

impl Delivery {
    const ALL: [Self; 3] = [Self::AtOnce, Self::InPieces, Self::Endlessly];

    /// Sends; the node may close before all of it was sent.
    async fn send(self, stream: &mut WriteHalf<'_>, bytes: &[u8]) {
        match self {
            Self::AtOnce => drop(stream.write_all(bytes).await),
            Self::InPieces => {
                for piece in bytes.chunks(bytes.len().div_ceil(20)) {
                    if stream.write_all(piece).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
            Self::Endlessly => while stream.write_all(bytes).await.is_ok() {},
        }
    }
}

/// Up to 40 frames: any opcode, fragments in any order, reserved bits, missing masks, lengths in the wrong
/// form, lengths that lie, floods of control frames and of empty fragments.
fn malformed(numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=numbers.below(40) {
        let last = if numbers.one_in(2) { 0x80 } else { 0 };
        let reserved = if numbers.one_in(10) { (numbers.below(8) << 4) as u8 } else { 0 };
        let any = numbers.below(16) as u8;
        let head = last | reserved | numbers.of(&[0, 0, 1, 1, 2, 8, 9, 10, any]);
        let mask = if numbers.one_in(20) { 0 } else { 0x80 };
        let length = numbers.of(&[0, 0, 0, 1, 2, 125, 126, 127, 1_000, 66_000]);
        let claimed = if numbers.one_in(20) { u64::MAX >> numbers.below(64) } else { length };
        let long_form = numbers.one_in(10);
        for _ in 0..if numbers.one_in(10) { 500 } else { 1 } {
            bytes.push(head);
            match claimed {
                0..=125 if !long_form => bytes.push(mask | claimed as u8),
                0..=0xffff => {
                    bytes.push(mask | 126);
                    bytes.extend((claimed as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(mask | 127);
                    bytes.extend(claimed.to_be_bytes());
                }
            }
            if mask != 0 {
                bytes.extend([0; 4]);
            }
            // Texts that are no UTF-8 among them.
            bytes.extend(std::iter::repeat_n(
                numbers.of(&[b'{', b'1', b' ', 0xff]),
                length.min(2_000) as usize,
            ));
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_malformed_connections_end_and_cost_nobody_else() {
    const CONNECTIONS: u64 = 1_000;
    const AT_ONCE: usize = 50;
    let database = Database::create().await;
    let limits = "hello_timeout = \"1500ms\"\nframe_timeout = \"400ms\"\nping_interval = \"400ms\"";
    let mut node = node_with(&database, limits).await;
    let base = node.client().base().to_owned();
    retitle(&node, 1, "before").await;
    let ended = futures::stream::iter(1..=CONNECTIONS)
        .map(|seed| {
            let base = &base;
            async move {
                let mut socket = Socket::connect(base).await;
                if seed % 2 == 0 {
                    socket.greet(None).await;
                }
                let bytes = malformed(&mut Numbers(seed));
                let delivery = Delivery::ALL[seed as usize / 2 % 3];
                // A client that answers nothing: only a limit ends what is not an error. What the node says
                // is read all the time, so that no limit of its own writes ends the connection.
                let (mut reads, mut writes) = socket.raw().split();
                let mut answers = Vec::new();
                let ended = tokio::time::timeout(PATIENCE, async {
                    tokio::join!(reads.read_to_end(&mut answers), delivery.send(&mut writes, &bytes))
                });
                assert!(ended.await.is_ok(), "the connection of seed {seed}, {delivery:?}, does not end");
            }
        })
        .buffer_unordered(AT_ONCE)
        .for_each(|()| async {});
    let answered = calls_during(&node, ended).await;
    println!("{answered} calls were answered meanwhile; the seeds are 1 to {CONNECTIONS}");
    assert!(!node.process().stderr().text().contains("panicked"), "the node panicked");
    nothing_is_left(&node).await;
    let (mut socket, _) = Socket::hello(&base, Some(&probe::token("ana"))).await;
    socket.subscribe(1, "live.title", json!({ "id": 1 })).await;
    until_snapshot(&mut socket, 1, &json!("before")).await;
    drop(socket);
    until("the session has ended", PATIENCE, || async {
        (metric(&node, "forge_sessions").await == 0.0).then_some(())
    })
    .await;
}

/// The transfer takes several times as long as the node waits for a pong, and the client cannot answer a ping
/// before it has the whole result.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_on_a_slow_line_arrives_once_on_one_connection() {
    const BYTES: usize = 1_000_000;
    let database = Database::create().await;
    let node = node_with(&database, "ping_interval = \"1s\"\nwrite_timeout = \"2s\"").await;
    retitle(&node, 1, "wide").await;
    let base = node.client().base().to_owned();
    let host = base.trim_start_matches("http://");
    let proxy = FaultProxy::start(host.parse().expect("an address")).await;
    let slow = async |subprotocol: &str| {
        let stream = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
        let headers = [("sec-websocket-protocol", subprotocol)];
        let mut socket = Socket::over(stream, host, &headers).await.expect("an upgrade");
        socket.greet(None).await;
        // 16 KiB in 100 ms.
        proxy.set(Disturbance::Delay(Duration::from_millis(100)));
        socket.subscribe(1, "live.wide", json!({ "id": 1, "bytes": BYTES })).await;
        let frame = socket.frame_of("transition").await;
        let result = frame["mods"][0]["snapshot"].as_str().expect("a text").len();
        assert_eq!(result, "wide".len() + BYTES, "{subprotocol}");
        socket.subscribe(2, "live.title", json!({ "id": 1 })).await;
        until_snapshot(&mut socket, 2, &json!("wide")).await;
        proxy.set(Disturbance::None);
    };
    slow("forge.v1").await;
    slow("forge.v1.parts").await;
    assert_eq!(metric(&node, "forge_sessions_opened_total").await, 2.0);
    nothing_is_left(&node).await;
}
