//! Live queries: their results are told again when the database changes.

pub mod messages;
