//! WebSocket frames to the client (RFC 6455, section 5.2), and the close codes.
//!
//! tungstenite reads; this writes. Its write buffer keeps the size of the largest frame that it ever held,
//! which for thousands of idle clients is the largest cost of all. What a server writes is simple: unmasked,
//! unfragmented.

/// Two bytes, and eight of a long length.
const HEADER_BYTES_MAX: usize = 10;
/// FIN, and the opcode.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// Why a connection ends: the table of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseCode {
    GoingAway,
    RuleBroken,
    FrameTooLarge,
    Restarted,
    Busy,
    NotAFrame,
    TokenExpired,
}

impl CloseCode {
    pub(super) const ALL: [Self; 7] = [
        Self::GoingAway,
        Self::RuleBroken,
        Self::FrameTooLarge,
        Self::Restarted,
        Self::Busy,
        Self::NotAFrame,
        Self::TokenExpired,
    ];

    pub(super) const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::RuleBroken => 1008,
            Self::FrameTooLarge => 1009,
            Self::Restarted => 1012,
            Self::Busy => 1013,
            Self::NotAFrame => 4400,
            Self::TokenExpired => 4401,
        }
    }

    /// The whole frame that says so.
    pub(super) const fn frame(self) -> [u8; 4] {
        let [high, low] = self.number().to_be_bytes();
        [CLOSE, 2, high, low]
    }
}

/// A ping without a payload.
pub(super) const PING_FRAME: [u8; 2] = [PING, 0];

/// A text frame. The payload is written once; the header goes into the room that was left before it.
pub(super) struct TextFrame {
    bytes: Vec<u8>,
    start: usize,
}

impl TextFrame {
    /// A frame with the payload that `write` appends. It has to be UTF-8.
    pub(super) fn new(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES_MAX + capacity);
        bytes.resize(HEADER_BYTES_MAX, 0);
        write(&mut bytes);
        let length = bytes.len() - HEADER_BYTES_MAX;
        let (short, long): (u8, &[u8]) = match length {
            0..=125 => (length as u8, &[]),
            126..=0xffff => (126, &(length as u16).to_be_bytes()),
            _ => (127, &(length as u64).to_be_bytes()),
        };
        let start = HEADER_BYTES_MAX - 2 - long.len();
        bytes[start] = TEXT;
        bytes[start + 1] = short;
        bytes[start + 2..HEADER_BYTES_MAX].copy_from_slice(long);
        Self { bytes, start }
    }

    /// What goes over the wire.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Bytes of its payload.
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES_MAX..]
    }
}
