//! [`Secret`]: a value that reaches its handler and nothing else.
//!
//! A secret is written as it is where programs read it: in the arguments of a call, in a job's row, in an
//! answer. It is written as `[redacted]` where people look: by `Debug`, and so in panics, in logs and in the
//! crash journal; and in the arguments that `forge.job`, `jobs show` and the dashboard show.
//!
//! Code that formats values for people calls `for_people`; inside of it a secret writes `[redacted]`, however
//! deep they are in the value.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// A value that people do not get to see: a token, a one-time code, a personal fact.
///
/// It is an argument, or a part of one. A job's argument is stored with its row, since the job needs it;
/// everyone who may read the table reads it there. In a table of the application's own, the column is marked
/// `#[sensitive]` instead.
///
/// There is no `Display`: `format!("Bearer {token}")` does not compile, where it would send `[redacted]`.
///
/// ```
/// # extern crate forge_actors as forge;
/// # use forge::prelude::*;
/// /// Sends an invitation.
/// #[forge::job]
/// pub async fn invite(ctx: &JobContext, email: String, code: Secret<String>) -> Result<()> {
///     assert_eq!(format!("{code:?}"), "[redacted]");
///     let link = format!("https://shop.example/join#{}", code.expose());
///     # let _ = (ctx, email, link);
///     Ok(())
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Keeps `value` from view.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for what needs it. It must not be printed.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, owned.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T: Serialize> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self).map_err(|_| unfit())
    }
}

/// Writes `value`, or [`REDACTED`] where people look.
#[doc(hidden)]
pub fn serialize<T: Serialize + ?Sized, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    if note() { serializer.serialize_str(REDACTED) } else { value.serialize(serializer) }
}

/// Why a secret was refused. serde's own sentence repeats the value.
#[doc(hidden)]
pub fn unfit<E: Error>() -> E {
    E::custom("does not have the expected form (the value is secret and is not repeated)")
}

thread_local! {
    /// Inside of `for_people`: whether a secret was met so far.
    static FOR_PEOPLE: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Tells `for_people`, if it runs, that there is a secret. Returns whether it runs.
#[doc(hidden)]
pub fn note() -> bool {
    let inside = FOR_PEOPLE.get().is_some();
    if inside {
        FOR_PEOPLE.set(Some(true));
    }
    inside
}

/// Runs `work`, in which secrets are written as [`REDACTED`]. Also returns whether one was met, as a value or
/// as a type.
pub(crate) fn for_people<T>(work: impl FnOnce() -> T) -> (T, bool) {
    /// Also when `work` panics, this thread goes on with other values.
    struct Outside;
    impl Drop for Outside {
        fn drop(&mut self) {
            FOR_PEOPLE.set(None);
        }
    }
    FOR_PEOPLE.set(Some(false));
    let outside = Outside;
    let output = work();
    let met = FOR_PEOPLE.get() == Some(true);
    drop(outside);
    (output, met)
}

/// An arguments object of which nobody knows what is secret in it: its names alone.
pub(crate) fn names_only(args: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(args) {
        Ok(object) => {
            let names = object.into_iter().map(|(name, _)| (name, Value::from(REDACTED)));
            Value::Object(names.collect()).to_string()
        }
        Err(_) => Value::from(REDACTED).to_string(),
    }
}
