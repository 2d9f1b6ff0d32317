//! Events: what workflows wait for.

use crate::app::arguments::at_path;
use crate::app::error::Result;
use crate::app::wire_type::WireType;
use crate::kernel::fault::{Code, Fault, FieldError};

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

/// The type of an event, found at link time: what operators emit by its name is compared with it.
pub struct EventRegistration {
    name: fn() -> String,
    /// Reads a payload; the text of its key.
    read: fn(&[u8]) -> Result<String, Misfit>,
}

/// Why a payload is none of an event.
enum Misfit {
    /// Its first field that does not fit.
    Field(FieldError),
    /// It says this key, and not the one that it is emitted with.
    Key(String),
    /// Its key is too long.
    Refused(Fault),
}

inventory::collect!(EventRegistration);

impl EventRegistration {
    /// The registration of `E`.
    pub const fn of<E: Event>() -> Self {
        Self { name: E::name, read: read_key::<E> }
    }
}

fn read_key<E: Event>(payload: &[u8]) -> Result<String, Misfit> {
    let event = E::read_input(payload).map_err(|refused| Misfit::Field(at_path("", &refused)))?;
    key_text(event.key()).map_err(Misfit::Refused)
}

/// Checks what an operator emits by name. A name of which the binary has no type may have any payload; one of
/// several types of one name is enough. `key` is the text of the key that it is emitted with, `None` for a
/// signal.
///
/// # Errors
/// `BAD_REQUEST` names the first field of the payload that does not fit, or the key that it has.
pub(crate) fn check_payload_of(name: &str, payload: &str, key: Option<&str>) -> Result<()> {
    let mut misfit = None;
    for known in inventory::iter::<EventRegistration>.into_iter().filter(|known| (known.name)() == name) {
        match (known.read)(payload.as_bytes()) {
            Ok(own) if key.is_none_or(|key| key == own) => return Ok(()),
            Ok(own) => misfit = Some(Misfit::Key(own)),
            Err(refused) => misfit = misfit.or(Some(refused)),
        }
    }
    let refused = |why: String| {
        Fault::new(Code::BadRequest, format!("the payload does not fit the event `{name}`: {why}"))
    };
    match misfit {
        None => Ok(()),
        Some(Misfit::Refused(fault)) => Err(fault),
        Some(Misfit::Key(own)) => {
            Err(refused(format!("its key is {own}, and it is to be emitted with another one")))
        }
        Some(Misfit::Field(field)) => {
            let place = if field.field.is_empty() { String::new() } else { format!("`{}` ", field.field) };
            let why = format!("{place}{}", field.message);
            Err(refused(why).with_details(serde_json::json!({ "fields": [field] })))
        }
    }
}
