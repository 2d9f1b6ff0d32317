//! The `supervise` room.
