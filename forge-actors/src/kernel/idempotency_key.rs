//! The idempotency key of a call: a mutation that is sent twice with one key runs once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::kernel::fault::{Code, Fault};

/// Bytes of a key.
const KEY_BYTES_MAX: usize = 200;

/// A key of 1 to 200 visible ASCII characters. HTTP sends it as the header `Idempotency-Key`, a batch as
/// `idempotencyKey`, and a WebSocket as `idem`; all three are parsed by [`FromStr`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(Box<str>);

/// The text is not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to {KEY_BYTES_MAX} visible ASCII characters, for example a random UUID")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The key as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let valid =
            (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(text.into())) } else { Err(InvalidIdempotencyKey) }
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = InvalidIdempotencyKey;

    fn try_from(text: String) -> Result<Self, InvalidIdempotencyKey> {
        text.parse()
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0.into()
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<InvalidIdempotencyKey> for Fault {
    fn from(error: InvalidIdempotencyKey) -> Self {
        Self::new(Code::BadRequest, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_visible() {
        let check = |text: &str, expected: bool| {
            assert_eq!(text.parse::<IdempotencyKey>().is_ok(), expected, "{text:?}");
        };
        check("7f1c", true);
        check("!~", true);
        check(&"k".repeat(KEY_BYTES_MAX), true);
        check(&"k".repeat(KEY_BYTES_MAX + 1), false);
        check("", false);
        check("a b", false);
        check("a\n", false);
        check("schlüssel", false);
    }

    #[test]
    fn a_key_that_was_not_parsed_is_not_read_from_the_wire_either() {
        let key: IdempotencyKey = serde_json::from_str(r#""7f1c""#).expect("a key");
        assert_eq!(serde_json::to_string(&key).expect("JSON"), r#""7f1c""#);
        assert!(serde_json::from_str::<IdempotencyKey>(r#""a b""#).is_err());
    }
}
