//! What a node says about itself: the sink of the crash journal, and the upkeep of metrics.
//!
//! A sink is an actor that reads a bounded ring in memory and writes batches: it never slows or fails what it
//! reports on. When the database is away it keeps its place and writes later; what fell out of the ring
//! meanwhile is counted and logged.

pub mod crashes;
pub mod metrics;

#[cfg(test)]
mod tests;
