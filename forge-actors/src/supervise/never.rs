//! The message of actors that receive none.

use super::actor::Message;

/// A message that cannot exist.
#[derive(Debug, Clone, Copy)]
pub enum Never {}

impl Message for Never {
    const NAMES: &'static [&'static str] = &[];

    fn index(&self) -> usize {
        match *self {}
    }
}
