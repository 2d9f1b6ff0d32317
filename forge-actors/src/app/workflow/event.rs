//! Events: what workflows wait for.

use crate::app::error::Result;
use crate::app::wire_type::WireType;
use crate::kernel::fault::{Code, Fault};

/// Bytes of the JSON text of an event's key.
pub(crate) const EVENT_KEY_BYTES_MAX: usize = 1_024;

/// A fact that workflows wait for, declared with `#[forge::event]`. The message is the type of what happened,
/// its key says to what.
///
/// ```
/// # extern crate forge_actors as forge;
/// # use forge::prelude::*;
/// #[forge::event(key = user)]
/// pub struct EmailVerified { pub user: Uuid, pub at: Timestamp }
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not declared with `#[forge::event]`",
    note = "write `#[forge::event(key = user)]` on the struct, with the name of the field that says what the \
            event is about"
)]
pub trait Event: WireType {
    /// The type of the key: that of the field which the attribute names, `()` for an event without a key.
    type Key: WireType;

    /// The name in Postgres, `module.event` in snake_case unless the attribute names another one.
    fn name() -> String;

    /// What the event is about. Whoever waits for the event names the same value.
    fn key(&self) -> &Self::Key;
}

/// The key as it is stored: its JSON text.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` beyond 1 KiB.
pub(crate) fn key_text<K: WireType>(key: &K) -> Result<String> {
    let json = key.to_json()?;
    if json.len() > EVENT_KEY_BYTES_MAX {
        let text = format!("the key of an event has at most {EVENT_KEY_BYTES_MAX} bytes as JSON");
        return Err(Fault::new(Code::PayloadTooLarge, text));
    }
    String::from_utf8(json).map_err(Fault::internal)
}
