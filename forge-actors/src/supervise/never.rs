//! The message of actors to whom nobody sends: they follow something by themselves.

use super::actor::Message;

/// Nobody sends.
#[derive(Debug, Clone, Copy)]
pub enum Never {}

impl Message for Never {
    const NAMES: &'static [&'static str] = &[];

    fn index(&self) -> usize {
        match *self {}
    }
}
