//! Sinks of what a node says about itself. Today: the crash journal's table.
//!
//! A sink is an actor that reads a bounded ring in memory and writes batches: it never slows or fails what it reports on. When the
//! database is away it keeps its place and writes later; what fell out of the ring meanwhile is counted and logged.

pub mod crashes;

#[cfg(test)]
mod tests;
