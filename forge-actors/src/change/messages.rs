//! The change room's public face.

pub use super::hints::{Ear, Hint, Hints, Interest, InterestPart};
