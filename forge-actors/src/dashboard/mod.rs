//! What a node tells about itself, as ordinary handlers: the command line is their first caller.
//!
//! All of them need the role `admin`, and are read-only.

pub mod actors;
pub mod crashes;
