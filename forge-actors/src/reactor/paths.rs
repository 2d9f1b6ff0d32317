//! Paths of the actors of the reactor subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static REACTOR: ActorPath = NODE.child("reactor");
/// Runs ticks.
pub static TICKER: ActorPath = REACTOR.child("ticker");
/// Asks the ticker for polls; its task hands over hints. `pace.rs` decides the pace.
pub static POLLER: ActorPath = REACTOR.child("poller");
