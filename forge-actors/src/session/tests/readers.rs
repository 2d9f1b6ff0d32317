//! Whatever a client sends, without an end: the socket's task yields after a limited amount of it, and bytes
//! that make no message end the connection.

use std::cell::Cell;
use std::io;
use std::task::{Context, Waker};
use std::time::Instant;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_oneof, proptest};

use crate::kernel::time::secs;
use crate::session::limits::{BYTES_AT_ONCE_MAX, FRAGMENT_HEADS_BYTES_MAX, FRAMES_AT_ONCE_MAX};
use crate::session::reader::{FrameLimits, MessageReader, ReadError};

const LIMITS: FrameLimits = FrameLimits { bytes_max: 4 * 1024, timeout: secs(30) };
/// More than a frame may take, and than a turn.
const ENOUGH_BYTES: usize = 2 * (LIMITS.bytes_max + FRAGMENT_HEADS_BYTES_MAX);
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

/// A frame as a client may send it: in any order, with any bits set, of a length that may be a lie.
#[derive(Debug, Clone)]
struct ClientBytes {
    /// The bit FIN, the reserved bits, and the opcode.
    head: u8,
    masked: bool,
    length: u16,
    claimed: Option<u64>,
    times: usize,
}

impl ClientBytes {
    fn write_to(&self, bytes: &mut Vec<u8>) {
        let claimed = self.claimed.unwrap_or(u64::from(self.length));
        let mask = if self.masked { 0x80 } else { 0 };
        for _ in 0..self.times {
            bytes.push(self.head);
            match claimed {
                0..=125 => bytes.push(mask | claimed as u8),
                126..=0xffff => {
                    bytes.push(mask | 126);
                    bytes.extend((claimed as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(mask | 127);
                    bytes.extend(claimed.to_be_bytes());
                }
            }
            if self.masked {
                bytes.extend([0; 4]);
            }
            bytes.extend(std::iter::repeat_n(b'{', self.length.into()));
        }
    }
}

fn client_bytes() -> impl Strategy<Value = Vec<u8>> {
    // Fragments of texts first, since only they are read on and on.
    let head = prop_oneof![
        6 => Just(0x00), 6 => Just(0x01), 3 => Just(0x89), 2 => Just(0x81), 2 => Just(0x80),
        1 => Just(0x8a), 1 => Just(0x82), 1 => Just(0x88), 1 => any::<u8>()
    ];
    let masked = prop_oneof![30 => Just(true), 1 => Just(false)];
    let length = prop_oneof![4 => Just(0), 2 => Just(1), 1 => Just(125), 1 => Just(126), 1 => 0..3_000_u16];
    let claimed = prop_oneof![30 => Just(None), 1 => (0..64_u32).prop_map(|bits| Some(u64::MAX >> bits))];
    let times = prop_oneof![9 => Just(1), 1 => Just(500_usize)];
    let frame = (head, masked, length, claimed, times).prop_map(|(head, masked, length, claimed, times)| {
        ClientBytes { head, masked, length, claimed, times }
    });
    proptest::collection::vec(frame, 1..12).prop_map(|frames| {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.write_to(&mut bytes));
        bytes
    })
}

/// What the socket's task has done.
#[derive(Default)]
struct Work {
    bytes: Cell<usize>,
    messages: Cell<usize>,
}

/// The socket of a client that sends the same bytes again and again.
struct EndlessSocket<'a> {
    bytes: &'a [u8],
    position: usize,
    /// What one read takes at most.
    piece: usize,
    /// The socket is found empty after each piece, and is full again at once.
    empty_between: bool,
    is_empty: bool,
    work: &'a Work,
}

impl EndlessSocket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.is_empty) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(self.piece);
        for byte in &mut buffer[..length] {
            *byte = self.bytes[self.position];
            self.position = (self.position + 1) % self.bytes.len();
        }
        self.work.bytes.update(|bytes| bytes + length);
        self.is_empty = self.empty_between;
        Ok(length)
    }
}

/// Reads as a connection does, until the client breaks a rule, or enough was read of it.
async fn read_on(mut socket: EndlessSocket<'_>) -> Result<(), ReadError> {
    let mut reader = MessageReader::new(Vec::new(), LIMITS);
    while socket.work.bytes.get() < ENOUGH_BYTES {
        match reader.next(|buffer| socket.read(buffer), Instant::now())? {
            Some(_) => socket.work.messages.update(|messages| messages + 1),
            None => reader.pause().await?,
        }
        reader.take_answers();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_client_is_read_on_and_on_without_a_yield(
        bytes in client_bytes(),
        piece in 16..2_000_usize,
        empty_between in any::<bool>(),
    ) {
        let work = Work::default();
        let socket =
            EndlessSocket { bytes: &bytes, position: 0, piece, empty_between, is_empty: false, work: &work };
        let mut task = std::pin::pin!(read_on(socket));
        loop {
            let (bytes_before, messages_before) = (work.bytes.get(), work.messages.get());
            let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            prop_assert!(work.bytes.get() - bytes_before <= BYTES_AT_ONCE_MAX);
            prop_assert!(work.messages.get() - messages_before <= FRAMES_AT_ONCE_MAX);
            if let std::task::Poll::Ready(result) = polled {
                // What is read for so long makes messages, which the rate limit of a session counts.
                prop_assert!(result.is_err() || work.messages.get() > 0);
                break;
            }
        }
    }
}

#[tokio::test]
async fn frames_that_came_with_the_request_are_all_read() {
    const COUNT: usize = FRAMES_AT_ONCE_MAX + 8;
    let mut reader = MessageReader::new(PING.repeat(COUNT), LIMITS);
    let mut messages = 0;
    // As a connection does that waits for its socket only when nothing is left.
    while reader.may_have_more() {
        let empty = |_: &mut [u8]| Err(io::ErrorKind::WouldBlock.into());
        match reader.next(empty, Instant::now()).expect("pings break no rule") {
            Some(_) => messages += 1,
            None => reader.pause().await.expect("no frame has begun"),
        }
    }
    assert_eq!(messages, COUNT);
}
