//! The change room's public face.

pub use super::hints::{Ear, Hint, Hints, Interest, InterestPart};
pub use super::state::{Batch, Changed};
pub use super::store::captured_tables;
pub use super::tail::Tail;
