//! Workflows against a real Postgres, in one process: steps are recorded once, waits are rows, compensation
//! runs backwards, and code that does not fit its journal is parked.

#![allow(clippy::unwrap_used, reason = "whatever does not work fails the test, and the line says what")]

mod admission;
mod begins;
mod bounds;
mod chains;
mod children;
mod crashes;
mod divergence;
mod groups;
mod moments;
mod operating;
mod sagas;
mod samples;
mod stage;
mod starting;
mod starts;
mod steps;
mod under_way;
mod versioned;
mod versions;
mod waits;
