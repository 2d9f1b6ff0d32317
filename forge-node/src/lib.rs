//! The façade that applications depend on.

pub use forge_actors::*;
