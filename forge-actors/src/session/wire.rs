//! WebSocket frames to the client (RFC 6455, section 5.2), and the close codes.
//!
//! tungstenite reads frames, and this file writes them: tungstenite's write buffer keeps the size of the
//! largest frame that it ever held, which for thousands of idle clients is the largest cost of all. The
//! frames of a server are simple: unmasked and unfragmented.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::limits::{PART_BYTES_MAX, SHARED_BYTES_LEAST};
use crate::kernel::byte_budget::Charge;
use crate::kernel::fault::Fault;
use crate::reactor::QueryResult;

/// Bytes of a frame's head: two, and eight for a long length.
const HEAD_BYTES_MAX: usize = 10;
/// First bytes of a frame: the bit FIN, and the opcode.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// First character of a part that is followed by another one, and of the last part of a frame. A frame that
/// is not divided begins with `{`.
const MORE: u8 = b'+';
const LAST: u8 = b'=';

/// A ping without a payload.
pub(super) const PING_FRAME: [u8; 2] = [PING, 0];

/// Close codes of the server, as the reference lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseCode {
    GoingAway,
    PolicyViolation,
    FrameTooLarge,
    Restarted,
    TryAgainLater,
    InvalidFrame,
    /// A token was not accepted, or expired and no other one was sent in time.
    TokenExpired,
}

/// Why the server closes a connection.
#[derive(Debug)]
pub(super) struct CloseReason {
    pub(super) code: CloseCode,
    /// Sent as a `fault` frame before the close frame.
    pub(super) fault: Option<Fault>,
}

impl CloseCode {
    pub(super) const ALL: [Self; 7] = [
        Self::GoingAway,
        Self::PolicyViolation,
        Self::FrameTooLarge,
        Self::Restarted,
        Self::TryAgainLater,
        Self::InvalidFrame,
        Self::TokenExpired,
    ];

    pub(super) const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::PolicyViolation => 1008,
            Self::FrameTooLarge => 1009,
            Self::Restarted => 1012,
            Self::TryAgainLater => 1013,
            Self::InvalidFrame => 4400,
            Self::TokenExpired => 4401,
        }
    }

    /// The close frame.
    pub(super) const fn frame(self) -> [u8; 4] {
        let [high, low] = self.number().to_be_bytes();
        [CLOSE, 2, high, low]
    }

    /// The reason with `fault` to explain it.
    pub(super) const fn because(self, fault: Fault) -> CloseReason {
        CloseReason { code: self, fault: Some(fault) }
    }
}

/// The payload of a text frame while it is written. It must be UTF-8.
pub(super) struct Payload {
    /// The text since the last piece; the first one has space for the head.
    text: Vec<u8>,
    /// The text before the first shared piece; empty while there is none.
    first: Vec<u8>,
    rest: Vec<Bytes>,
    /// Bytes of the shared pieces.
    shared: usize,
}

/// A text frame. Large results in it are shared with the reactor and with other frames, so that a client that
/// takes its frame slowly costs no copy of them.
pub(super) struct TextFrame {
    /// The head, and the payload up to the first shared piece.
    first: Vec<u8>,
    start: usize,
    /// The other pieces of the payload. Each begins and ends between two characters.
    rest: Vec<Bytes>,
    /// Bytes of the payload that are shared.
    shared: usize,
    /// The results that the pieces are of: they count as used while the frame waits.
    results: Vec<Arc<QueryResult>>,
    /// Counts the payload as used while the frame waits.
    charge: Option<Charge<IpAddr>>,
}

/// A part of a frame: a frame of its own.
pub(super) struct TextPart<'a> {
    /// The head, and the mark.
    first: Vec<u8>,
    start: usize,
    payload: &'a [u8],
}

impl Payload {
    pub(super) fn put(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Adds `data`, a copy of it only when it is small.
    pub(super) fn share(&mut self, data: &Bytes) {
        if data.len() < SHARED_BYTES_LEAST {
            return self.put(data);
        }
        self.end_piece();
        self.shared += data.len();
        self.rest.push(data.clone());
    }

    fn end_piece(&mut self) {
        let text = std::mem::take(&mut self.text);
        if self.first.is_empty() {
            self.first = text;
        } else if !text.is_empty() {
            self.rest.push(text.into());
        }
    }
}

impl io::Write for Payload {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.put(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TextFrame {
    /// A frame with the payload that `write` makes. `capacity`: bytes to reserve for the payload, shared
    /// pieces apart.
    pub(super) fn new(capacity: usize, write: impl FnOnce(&mut Payload)) -> Self {
        let mut text = Vec::with_capacity(HEAD_BYTES_MAX + capacity);
        text.resize(HEAD_BYTES_MAX, 0);
        let mut payload = Payload { text, first: Vec::new(), rest: Vec::new(), shared: 0 };
        write(&mut payload);
        payload.end_piece();
        let Payload { mut first, rest, shared, .. } = payload;
        let length = first.len() - HEAD_BYTES_MAX + rest.iter().map(Bytes::len).sum::<usize>();
        let start = put_head(&mut first, length);
        Self { first, start, rest, shared, results: Vec::new(), charge: None }
    }

    /// The frame with the charge for its payload.
    pub(super) fn charged(mut self, charge: Charge<IpAddr>) -> Self {
        self.charge = Some(charge);
        self
    }

    /// The frame with the results that its pieces are of.
    pub(super) fn of_results(mut self, results: Vec<Arc<QueryResult>>) -> Self {
        self.results = results;
        self
    }

    /// True when the frame keeps results in memory that nothing else does, and others need the memory.
    pub(super) fn holds_scarce_memory(&self) -> bool {
        self.results.iter().any(|result| result.holds_scarce_memory())
    }

    /// Head and payload, as they go over the wire.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.first[self.start..]).chain(self.rest.iter().map(AsRef::as_ref))
    }

    /// Bytes of the payload.
    pub(super) fn len(&self) -> usize {
        self.payload().map(<[u8]>::len).sum()
    }

    /// Bytes of the payload that nothing else counts as used.
    pub(super) fn uncounted_bytes(&self) -> usize {
        if self.charge.is_some() { 0 } else { self.len() - self.shared }
    }

    fn payload(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.first[HEAD_BYTES_MAX..]).chain(self.rest.iter().map(AsRef::as_ref))
    }

    /// True when the frame does not fit into one part.
    pub(super) fn is_large(&self) -> bool {
        self.len() > PART_BYTES_MAX
    }

    /// The frame in parts. Each part is a text of its own, divided between two characters.
    pub(super) fn parts(&self) -> impl Iterator<Item = TextPart<'_>> {
        let mut left = self.len();
        let parts = self.payload().flat_map(|mut piece| {
            std::iter::from_fn(move || {
                let (part, after) = piece.split_at(part_length(piece));
                piece = after;
                (!part.is_empty()).then_some(part)
            })
        });
        parts.map(move |payload| {
            left -= payload.len();
            TextPart::new(if left == 0 { LAST } else { MORE }, payload)
        })
    }

    /// The payload in one piece.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.payload().collect::<Vec<_>>().concat()).expect("a frame is UTF-8")
    }
}

impl<'a> TextPart<'a> {
    fn new(mark: u8, payload: &'a [u8]) -> Self {
        let mut first = vec![0; HEAD_BYTES_MAX];
        first.push(mark);
        let start = put_head(&mut first, 1 + payload.len());
        Self { first, start, payload }
    }

    /// Head and payload, as they go over the wire.
    pub(super) fn slices(&self) -> [&[u8]; 2] {
        [&self.first[self.start..], self.payload]
    }
}

/// Writes the head of a text frame into the first [`HEAD_BYTES_MAX`] bytes. Returns where it begins.
fn put_head(bytes: &mut [u8], length: usize) -> usize {
    let (short, long): (u8, &[u8]) = match length {
        0..=125 => (length as u8, &[]),
        126..=0xffff => (126, &(length as u16).to_be_bytes()),
        _ => (127, &(length as u64).to_be_bytes()),
    };
    let start = HEAD_BYTES_MAX - 2 - long.len();
    bytes[start] = TEXT;
    bytes[start + 1] = short;
    bytes[start + 2..HEAD_BYTES_MAX].copy_from_slice(long);
    start
}

/// The length of the first part of `text`, which is UTF-8.
fn part_length(text: &[u8]) -> usize {
    let mut end = text.len().min(PART_BYTES_MAX);
    while end < text.len() && is_inside_character(text[end]) {
        end -= 1;
    }
    end
}

fn is_inside_character(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> TextFrame {
        TextFrame::new(text.len(), |payload| payload.put(text.as_bytes()))
    }

    fn shared(pieces: &[&str]) -> TextFrame {
        TextFrame::new(0, |payload| {
            for piece in pieces {
                payload.put(b"[");
                payload.share(&Bytes::copy_from_slice(piece.as_bytes()));
            }
        })
    }

    fn joined(slices: [&[u8]; 2]) -> String {
        String::from_utf8(slices.concat()[4..].to_vec()).expect("a part is UTF-8")
    }

    #[test]
    fn parts_are_texts_that_make_the_frame() {
        let (latin, mixed) = ("x".repeat(PART_BYTES_MAX + 1), "ä€😀".repeat(20_000));
        for frame in [frame(&latin), frame(&mixed), shared(&[&mixed, "small", &latin])] {
            assert!(frame.is_large());
            let parts: Vec<TextPart<'_>> = frame.parts().collect();
            let (last, others) = parts.split_last().expect("parts");
            let mark = |part: &TextPart<'_>| *part.first.last().expect("a mark");
            assert!(mark(last) == LAST && others.iter().all(|part| mark(part) == MORE));
            assert!(parts.iter().all(|part| part.payload.len() <= PART_BYTES_MAX));
            let texts = parts.iter().map(|part| std::str::from_utf8(part.payload).expect("UTF-8"));
            assert_eq!(texts.collect::<String>(), frame.text());
        }
        let part = TextPart::new(MORE, latin.as_bytes());
        assert_eq!(joined(part.slices()), format!("+{latin}"), "a head of four bytes, and the mark");
    }

    #[test]
    fn a_frame_that_fits_into_one_part_is_not_divided() {
        assert!(!frame(&"x".repeat(PART_BYTES_MAX)).is_large());
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![b'x'; SHARED_BYTES_LEAST]);
        let frame = TextFrame::new(0, |payload| {
            payload.put(b"<");
            payload.share(&large);
            payload.put(b">");
            payload.share(&Bytes::from_static(b"small"));
        });
        let addresses: Vec<*const u8> = frame.slices().map(<[u8]>::as_ptr).collect();
        assert_eq!(addresses.len(), 3);
        assert_eq!(addresses[1], large.as_ptr());
        assert_eq!(frame.text().len(), frame.len());
        assert_eq!(frame.uncounted_bytes(), "<>small".len(), "all that is not shared");
        assert!(frame.text().ends_with("x>small"));
    }
}
