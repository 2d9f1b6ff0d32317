//! Helpers for the message types that the handler macros generate.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use crate::app::handler::Handler;

/// Reads a message as a handler's arguments are read. Works with JSON alone.
pub fn deserialize<'de, H: Handler, D: Deserializer<'de>>(deserializer: D) -> Result<H, D::Error> {
    let args = <Box<RawValue>>::deserialize(deserializer)?;
    H::decode(args.get().as_bytes()).map_err(|fault| D::Error::custom(fault.message()))
}

/// An argument, as `Debug` of its message shows it: its own `Debug` where it has one, else `..`. So a handler
/// may take arguments that do not implement `Debug`.
///
/// The method is looked up on `&Shown<T>`: [`ShowValue`] is found first and holds for types with `Debug`,
/// [`ShowNothing`] needs one reference more and holds for all.
#[derive(Clone, Copy)]
pub struct Shown<'a, T>(pub &'a T);

/// For arguments that implement `Debug`.
pub trait ShowValue {
    /// The argument.
    fn shown(&self) -> &dyn fmt::Debug;
}

/// For all arguments.
pub trait ShowNothing {
    /// Two dots.
    fn shown(&self) -> &dyn fmt::Debug;
}

impl<T: fmt::Debug> ShowValue for Shown<'_, T> {
    fn shown(&self) -> &dyn fmt::Debug {
        self.0
    }
}

impl<T> ShowNothing for &Shown<'_, T> {
    fn shown(&self) -> &dyn fmt::Debug {
        &Dots
    }
}

struct Dots;

impl fmt::Debug for Dots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
