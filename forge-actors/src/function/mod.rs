//! The `function` room.
