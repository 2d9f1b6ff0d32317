//! WebSocket frames to the client (RFC 6455, section 5.2), and the close codes.
//!
//! tungstenite reads frames, and this file writes them: tungstenite's write buffer keeps the size of the
//! largest frame that it ever held, which for thousands of idle clients is the largest cost of all. The
//! frames of a server are simple: unmasked and unfragmented.

use super::limits::PART_BYTES_MAX;
use crate::kernel::fault::Fault;

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

/// A text frame. Its payload is written once; the head goes into the space that was left before it.
pub(super) struct TextFrame {
    bytes: Vec<u8>,
    start: usize,
}

impl TextFrame {
    /// A frame with the payload that `write` appends, which must be UTF-8.
    pub(super) fn new(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_BYTES_MAX + capacity);
        bytes.resize(HEAD_BYTES_MAX, 0);
        write(&mut bytes);
        let length = bytes.len() - HEAD_BYTES_MAX;
        let (short, long): (u8, &[u8]) = match length {
            0..=125 => (length as u8, &[]),
            126..=0xffff => (126, &(length as u16).to_be_bytes()),
            _ => (127, &(length as u64).to_be_bytes()),
        };
        let start = HEAD_BYTES_MAX - 2 - long.len();
        bytes[start] = TEXT;
        bytes[start + 1] = short;
        bytes[start + 2..HEAD_BYTES_MAX].copy_from_slice(long);
        Self { bytes, start }
    }

    /// Head and payload, as they go over the wire.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[HEAD_BYTES_MAX..]
    }

    /// True when the frame does not fit into one part.
    pub(super) fn is_large(&self) -> bool {
        self.payload().len() > PART_BYTES_MAX
    }

    /// The frame in parts. Each part is a text of its own, divided between two characters.
    pub(super) fn parts(&self) -> impl Iterator<Item = TextFrame> {
        let mut rest = self.payload();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (part, after) = rest.split_at(part_length(rest));
            rest = after;
            let mark = if rest.is_empty() { LAST } else { MORE };
            Some(TextFrame::new(1 + part.len(), |payload| {
                payload.push(mark);
                payload.extend_from_slice(part);
            }))
        })
    }
}

/// The length of the first part of `text`, which is UTF-8 and not empty.
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
        TextFrame::new(text.len(), |payload| payload.extend_from_slice(text.as_bytes()))
    }

    #[test]
    fn parts_are_texts_that_make_the_frame() {
        for text in ["x".repeat(PART_BYTES_MAX + 1), "ä€😀".repeat(20_000)] {
            let frame = frame(&text);
            assert!(frame.is_large());
            let parts: Vec<String> = frame
                .parts()
                .map(|part| String::from_utf8(part.payload().to_vec()).expect("a part is UTF-8"))
                .collect();
            let (last, others) = parts.split_last().expect("parts");
            assert!(last.starts_with('=') && others.iter().all(|part| part.starts_with('+')));
            assert!(parts.iter().all(|part| part.len() <= 1 + PART_BYTES_MAX));
            assert_eq!(parts.iter().map(|part| &part[1..]).collect::<String>(), text);
        }
    }

    #[test]
    fn a_frame_that_fits_into_one_part_is_not_divided() {
        assert!(!frame(&"x".repeat(PART_BYTES_MAX)).is_large());
    }
}
